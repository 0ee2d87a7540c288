from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.batching.prefix_tree import Node, PrefixTree, common_length

Prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), max_size=12)


def insert(tree: PrefixTree, token_ids: list[int], holder: int) -> Node:
    """Put a path into the tree, as a finished sequence does."""
    node, length = tree.match(token_ids)
    node = tree.split(node, length) if length else tree.root
    if length == len(token_ids):
        return node
    node.holder = None
    return tree.add(node, token_ids[length:], holder)


@given(prompts=Prompts, asked=st.lists(st.integers(0, 2), max_size=12))
def test_the_longest_known_prefix_is_found(prompts: list[list[int]], asked: list[int]) -> None:
    tree = PrefixTree()
    for index, prompt in enumerate(prompts):
        insert(tree, prompt, index)
    node, length = tree.match(asked)
    assert length == max((common_length(asked, prompt) for prompt in prompts), default=0)
    assert node.path_ids[:length] == asked[:length]
    assert node.any_leaf.holder is not None or not prompts


@given(prompts=Prompts)
def test_a_token_is_held_once_and_every_leaf_has_a_holder_of_its_path(
    prompts: list[list[int]],
) -> None:
    tree = PrefixTree()
    for index, prompt in enumerate(prompts):
        insert(tree, prompt, index)
    prefixes = {tuple(prompt[:end]) for prompt in prompts for end in range(1, len(prompt) + 1)}
    assert tree.tokens == len(prefixes)
    leaves = list(tree.leaves())
    assert len({leaf.holder for leaf in leaves}) == len(leaves)
    for leaf in leaves:
        assert leaf.holder is not None
        assert prompts[leaf.holder][: leaf.end] == leaf.path_ids


@given(prompts=Prompts, data=st.data())
def test_cutting_leaves_empties_the_tree_and_gives_every_holder_back(
    prompts: list[list[int]], data: st.DataObject
) -> None:
    tree = PrefixTree()
    for index, prompt in enumerate(prompts):
        insert(tree, prompt, index)
    holders = {leaf.holder for leaf in tree.leaves()}
    freed = set()
    while leaves := list(tree.leaves()):
        leaf = data.draw(st.sampled_from(leaves))
        length = data.draw(st.integers(leaf.start, leaf.end - 1))
        before = tree.tokens
        removed = leaf.end - length
        holder = tree.shorten(leaf, length)
        if holder is not None:
            freed.add(holder)
        assert tree.tokens == before - removed
    assert tree.tokens == 0
    assert freed == holders
