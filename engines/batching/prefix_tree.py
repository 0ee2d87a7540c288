"""Token prefixes whose keys and values are in the KV cache: a radix tree."""

from collections.abc import Iterator, Sequence


class Node:
    """An edge of the tree: consecutive tokens after those of its parent.

    A leaf has a holder: the slot of the KV cache that keeps the cells of the whole path alive.
    """

    __slots__ = ("children", "holder", "parent", "start", "token_ids", "used_at", "users")

    def __init__(self, parent: "Node | None", start: int, token_ids: list[int]) -> None:
        self.parent = parent
        self.start = start
        """Position of the first token."""
        self.token_ids = token_ids
        self.children: dict[int, Node] = {}
        """By the first token of each."""
        self.holder: int | None = None
        """The slot of a leaf; None for every other node."""
        self.users = 0
        """Running sequences that share these cells, here or further down."""
        self.used_at = 0
        """When a sequence last used it, by the cache's clock."""

    @property
    def end(self) -> int:
        """Position after the last token."""
        return self.start + len(self.token_ids)

    @property
    def path(self) -> "Iterator[Node]":
        """This node and its ancestors, without the root."""
        node = self
        while node.parent is not None:
            yield node
            node = node.parent

    @property
    def path_ids(self) -> list[int]:
        """All tokens from the beginning to the end of this node."""
        edges = [node.token_ids for node in self.path]
        return [token_id for edge in reversed(edges) for token_id in edge]

    @property
    def any_leaf(self) -> "Node":
        """A leaf at or below this node; its holder has the cells of this node, too."""
        node = self
        while node.children:
            node = next(iter(node.children.values()))
        return node


class PrefixTree:
    """Knows which prefixes are held; moves no data.

    Every token of the tree stands for one cell of the KV cache.
    """

    def __init__(self) -> None:
        self.root = Node(None, 0, [])
        self.tokens = 0
        """Number of tokens in the tree."""

    def match(self, token_ids: Sequence[int]) -> tuple[Node, int]:
        """The node where the longest known prefix of ``token_ids`` ends, and its length.

        The length may end within the node. Nothing known: the root and 0.
        """
        node, length = self.root, 0
        while length < len(token_ids) and length == node.end:
            child = node.children.get(token_ids[length])
            if child is None:
                break
            node = child
            length += common_length(child.token_ids, token_ids[length : child.end])
        return node, length

    def split(self, node: Node, length: int) -> Node:
        """Make the path end a node at ``length``, which lies within or at the end of ``node``."""
        if length == node.end:
            return node
        at = length - node.start
        assert 0 < at < len(node.token_ids)
        assert node.parent is not None
        upper = Node(node.parent, node.start, node.token_ids[:at])
        upper.users, upper.used_at = node.users, node.used_at
        upper.children[node.token_ids[at]] = node
        node.parent.children[upper.token_ids[0]] = upper
        node.parent, node.start, node.token_ids = upper, length, node.token_ids[at:]
        return upper

    def add(self, parent: Node, token_ids: list[int], holder: int) -> Node:
        """A new leaf after ``parent``, held by ``holder``; the parent's holder, if it was a leaf
        itself, must have been taken from it."""
        assert parent.holder is None
        assert token_ids[0] not in parent.children
        leaf = Node(parent, parent.end, token_ids)
        leaf.holder = holder
        parent.children[token_ids[0]] = leaf
        self.tokens += len(token_ids)
        return leaf

    def shorten(self, leaf: Node, length: int) -> int | None:
        """Cut an unused leaf's path down to ``length``, at most to the leaf's start.

        At its start the leaf is gone: its parent inherits the holder, or else, if that has other
        children or is the root, the holder is returned, free from now on.
        """
        assert leaf.holder is not None
        assert leaf.users == 0
        assert leaf.start <= length < leaf.end
        assert leaf.parent is not None
        self.tokens -= leaf.end - length
        if length > leaf.start:
            del leaf.token_ids[length - leaf.start :]
            return None
        parent = leaf.parent
        del parent.children[leaf.token_ids[0]]
        if parent.children or parent is self.root:
            return leaf.holder
        parent.holder = leaf.holder
        return None

    def leaves(self) -> Iterator[Node]:
        """Every leaf, in no order."""
        nodes = list(self.root.children.values())
        while nodes:
            node = nodes.pop()
            if node.children:
                nodes.extend(node.children.values())
            else:
                yield node


def common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginnings."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
