"""Which sequences share which cells of the KV cache, and what is kept when they end."""

from typing import Protocol

from codeserve.engines.batching.block_store import BLOCK_TOKENS, BlockStore, block_keys
from codeserve.engines.batching.prefix_tree import Node, PrefixTree, common_length
from codeserve.engines.batching.sequence import Sequence

SPILL_TOKENS = 4 * BLOCK_TOKENS
"""Idle tokens that move to host memory after one step, so that no step waits long for it."""


class KvCache(Protocol):
    """Cells that hold the keys and values of tokens; several slots may share a cell."""

    @property
    def cells(self) -> int:
        """How many tokens can be held."""

    @property
    def slots(self) -> int:
        """How many sequences can be held; ids run from 0."""

    @property
    def can_share(self) -> bool:
        """Whether slots can share, trim, save and restore; if not, none of these is called but
        ``trim`` to 0."""

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` from ``start`` to ``end``, instead of any
        that it has there."""

    def trim(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of ``slot``."""

    def save(self, slot: int, start: int, end: int) -> bytes:
        """A copy of the keys and values of ``slot`` from ``start`` to ``end``."""

    def restore(self, slot: int, data: bytes) -> bool:
        """Put what ``save`` gave into the empty ``slot``; False if the data does not fit."""


class PrefixCache:
    """Every prefix is computed once while it is kept.

    A finished sequence leaves its tokens in a radix tree (https://arxiv.org/abs/2312.07104), whose
    leaves hold slots of their own. A new sequence shares the cells of the longest prefix that the
    tree or a running sequence has. Where cells are needed, the least recently used leaves are cut;
    what is cut goes to ``store`` in blocks and comes back from there.
    """

    def __init__(self, kv: KvCache, store: BlockStore, idle_rows: int | None = None) -> None:
        """``idle_rows``: batch rows after which an idle prefix moves to ``store``; None: it stays
        until its cells are needed."""
        self._kv = kv
        self._idle_rows = idle_rows
        self._store = store
        self._tree = PrefixTree()
        self._free = list(range(kv.slots))
        self._scratch = self._free.pop() if kv.can_share else None
        self._nodes: dict[Sequence, Node] = {}
        self._clock = 0
        self._shared_tokens = 0
        self.queries = 0
        """Prompt tokens that were looked up."""
        self.hits = 0
        """Those that were found."""

    @property
    def cells_used(self) -> int:
        """Cells that hold a token; shared ones count once."""
        return self.idle_tokens + self.cells_running

    @property
    def cells_running(self) -> int:
        """Those that running sequences use."""
        private = sum(s.computed - node.end for s, node in self._nodes.items())
        return self._shared_tokens + private

    @property
    def idle_tokens(self) -> int:
        """Tokens that are kept and used by no running sequence."""
        return self._tree.tokens - self._shared_tokens

    @property
    def slots_used(self) -> int:
        """Slots that hold something."""
        return self._kv.slots - len(self._free) - (self._scratch is not None)

    def known_length(self, sequence: Sequence) -> int:
        """How many tokens of its prompt need not be computed, by what is kept now."""
        if sequence.scores_prompt:
            return 0
        prompt = sequence.keys(len(sequence.token_ids) - 1)
        _, length = self._tree.match(prompt)
        for index, key in enumerate(block_keys(prompt)):
            end = (index + 1) * BLOCK_TOKENS
            if end > length:
                if key not in self._store:
                    break
                length = end
        return length

    def admit(self, sequence: Sequence) -> int:
        """Give ``sequence`` a slot, which is returned, and all that is known of its prompt."""
        slot = sequence.slot = self._take_slot()
        self._nodes[sequence] = self._tree.root
        if self._looks_up(sequence):
            self.queries += len(sequence.token_ids)
        self.extend(sequence)
        return slot

    def extend(self, sequence: Sequence) -> None:
        """Share what has become known of a prompt since it was admitted."""
        if not self._looks_up(sequence):
            return
        prompt = sequence.keys(len(sequence.token_ids) - 1)
        peer, length = self._best_peer(sequence, prompt)
        node, known = self._tree.match(prompt)
        if peer is not None and length > known:
            self._publish(peer, length)
            node, known = self._tree.match(prompt)
        before = sequence.computed
        if known > sequence.computed:
            self._share(sequence, self._tree.split(node, known))
        self._restore(sequence, prompt)
        found = sequence.computed - before
        sequence.cached += found
        self.hits += found

    def release(self, sequence: Sequence) -> None:
        """Keep what ``sequence`` has computed, for others."""
        node = self._nodes[sequence]
        slot = sequence.slot
        assert slot is not None
        if not self._kv.can_share:
            del self._nodes[sequence]
            sequence.slot = None
            self._free_slot(slot)
            return
        known, length = self._tree.match(sequence.keys(sequence.computed))
        if length > node.end:
            node = self._share(sequence, self._tree.split(known, length))
        self._use(node, -1)
        del self._nodes[sequence]
        sequence.slot = None
        if sequence.computed > node.end:
            self._add(node, sequence.keys(sequence.computed)[node.end :], slot)
        else:
            self._free_slot(slot)

    def make_room(self, tokens: int) -> None:
        """Cut idle prefixes until ``tokens`` more fit."""
        missing = self.cells_used + tokens - self._kv.cells
        while missing > 0:
            leaf = self._oldest_idle_leaf()
            assert leaf is not None, "running sequences need more cells than there are"
            missing -= self._cut(leaf, missing)

    def pass_rows(self, rows: int) -> None:
        """Take note that a step has computed ``rows`` tokens; move what idles to the store."""
        self._clock += rows
        if self._idle_rows is None or not self._store.is_useful:
            return
        budget = SPILL_TOKENS
        while budget > 0:
            leaf = self._oldest_idle_leaf()
            if leaf is None or self._clock - leaf.used_at <= self._idle_rows:
                return
            budget -= self._cut(leaf, budget)

    def close(self) -> None:
        """Copy everything that is kept to the store, if that outlives the process."""
        if self._store.is_durable:
            for leaf in list(self._tree.leaves()):
                self._save(leaf, 0)
        self._store.close()

    def _looks_up(self, sequence: Sequence) -> bool:
        return self._kv.can_share and not sequence.scores_prompt

    def _best_peer(self, sequence: Sequence, prompt: list[int]) -> tuple[Sequence | None, int]:
        """The running sequence that has computed most of ``prompt``, and how much."""
        best, best_length = None, sequence.computed
        for peer in self._nodes:
            if peer is not sequence and peer.computed > best_length:
                length = common_length(peer.keys(peer.computed), prompt)
                if length > best_length:
                    best, best_length = peer, length
        return best, best_length

    def _publish(self, sequence: Sequence, length: int) -> None:
        """Make the first ``length`` tokens of a running sequence a path of the tree."""
        known, matched = self._tree.match(sequence.keys(length))
        if matched > self._nodes[sequence].end:
            self._share(sequence, self._tree.split(known, matched))
        node = self._nodes[sequence]
        assert sequence.slot is not None
        if length > node.end:
            holder = self._take_slot()
            self._kv.fork(sequence.slot, holder, 0, length)
            leaf = self._add(node, sequence.keys(length)[node.end :], holder)
            self._hold(sequence, leaf)

    def _share(self, sequence: Sequence, node: Node) -> Node:
        """Let ``sequence`` have the tree's cells up to the end of ``node``."""
        holder, slot = node.any_leaf.holder, sequence.slot
        assert holder is not None
        assert slot is not None
        self._kv.fork(holder, slot, self._nodes[sequence].end, node.end)
        sequence.computed = max(sequence.computed, node.end)
        self._hold(sequence, node)
        return node

    def _hold(self, sequence: Sequence, node: Node) -> None:
        self._use(node, 1)
        self._use(self._nodes[sequence], -1)
        self._nodes[sequence] = node

    def _use(self, node: Node, change: int) -> None:
        for step in node.path:
            was_used = step.users > 0
            step.users += change
            step.used_at = self._clock
            self._shared_tokens += len(step.token_ids) * ((step.users > 0) - was_used)

    def _add(self, parent: Node, token_ids: list[int], slot: int) -> Node:
        """A new leaf that ``slot`` holds; a parent that was a leaf needs no holder any more."""
        if parent.holder is not None:
            self._free_slot(parent.holder)
            parent.holder = None
        leaf = self._tree.add(parent, token_ids, slot)
        leaf.used_at = self._clock
        return leaf

    def _restore(self, sequence: Sequence, prompt: list[int]) -> None:
        """Bring back the blocks of the store that follow what ``sequence`` has."""
        assert sequence.slot is not None
        assert self._scratch is not None
        for index, key in enumerate(block_keys(prompt)):
            start, end = index * BLOCK_TOKENS, (index + 1) * BLOCK_TOKENS
            if end <= sequence.computed:
                continue
            data = self._store.get(key)
            if data is None:
                return
            self.make_room(BLOCK_TOKENS)
            if not self._kv.restore(self._scratch, data):
                self._store.drop(key)
                return
            self._kv.fork(self._scratch, sequence.slot, max(start, sequence.computed), end)
            self._kv.trim(self._scratch, 0)
            sequence.computed = end

    def _cut(self, leaf: Node, tokens: int) -> int:
        """Save and drop up to about ``tokens`` tokens from the end of an idle leaf; how many."""
        keep = max(leaf.start, (leaf.end - tokens) // BLOCK_TOKENS * BLOCK_TOKENS)
        holder, cut = leaf.holder, leaf.end - keep
        assert holder is not None
        self._save(leaf, keep)
        freed = self._tree.shorten(leaf, keep)
        if freed is None:
            self._kv.trim(holder, keep)
        else:
            self._free_slot(freed)
        return cut

    def _save(self, leaf: Node, keep: int) -> None:
        """Copy to the store every whole block that reaches beyond ``keep``."""
        assert leaf.holder is not None
        if not self._store.is_useful:
            return
        for index, key in enumerate(block_keys(leaf.path_ids)):
            end = (index + 1) * BLOCK_TOKENS
            if end > keep and key not in self._store:
                self._store.put(key, self._kv.save(leaf.holder, end - BLOCK_TOKENS, end))

    def _oldest_idle_leaf(self) -> Node | None:
        idle = (leaf for leaf in self._tree.leaves() if not leaf.users)
        return min(idle, key=lambda leaf: leaf.used_at, default=None)

    def _take_slot(self) -> int:
        while not self._free:
            leaf = self._oldest_idle_leaf()
            assert leaf is not None, "every slot is in use by a running sequence"
            self._cut(leaf, leaf.end - leaf.start)
        return self._free.pop()

    def _free_slot(self, slot: int) -> None:
        self._kv.trim(slot, 0)
        self._free.append(slot)
