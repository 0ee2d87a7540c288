import random

import pytest

from codeserve.engines.transformers.cell_map import CellMap, Run


def numbers(runs: list[Run]) -> list[int]:
    return [cell for run in runs for cell in range(run.start, run.end)]


def test_slots_that_grow_side_by_side_stay_in_one_piece() -> None:
    cells = CellMap(cells=400, slots=4)
    for _ in range(90):
        for slot in range(4):
            cells.append(slot, 1)
    assert [len(cells.runs(slot)) for slot in range(4)] == [1, 1, 1, 1]


def test_a_fork_that_goes_on_stays_in_one_piece_while_the_next_cell_is_free() -> None:
    cells = CellMap(cells=100, slots=3)
    cells.append(0, 20)
    cells.fork(0, 1, 0, 20)
    cells.append(1, 5)
    assert len(cells.runs(1)) == 1
    cells.fork(0, 2, 0, 20)
    cells.append(2, 5)
    assert cells.cut(2, 0, 20) == cells.cut(1, 0, 20)
    assert not set(numbers(cells.cut(1, 20, 25))) & set(numbers(cells.cut(2, 20, 25)))


def test_a_fork_replaces_what_was_there() -> None:
    cells = CellMap(cells=100, slots=2)
    cells.append(0, 20)
    cells.append(1, 30)
    after = cells.cut(1, 15, 30)
    cells.fork(0, 1, 5, 15)
    assert cells.length(1) == 30
    assert numbers(cells.cut(1, 5, 15)) == numbers(cells.cut(0, 5, 15))
    assert cells.cut(1, 15, 30) == after
    cells.trim(0, 0)
    cells.trim(1, 0)
    assert numbers(cells.append(0, 100)) == list(range(100))


def test_more_tokens_than_cells_are_an_error() -> None:
    cells = CellMap(cells=10, slots=2)
    cells.append(0, 7)
    with pytest.raises(MemoryError, match="every cell"):
        cells.append(1, 4)


@pytest.mark.parametrize("seed", range(20))
def test_every_slot_holds_what_was_put_into_it(seed: int) -> None:
    """Beside a list of tokens for each slot, through random appends, forks and trims."""
    chance = random.Random(seed)
    cells, slots = CellMap(cells=64, slots=6), range(6)
    held = dict.fromkeys(range(64), -1)
    expected: list[list[int]] = [[] for _ in slots]
    for token in range(400):
        slot, other = chance.sample(slots, 2)
        match chance.choice(["append", "append", "fork", "trim"]):
            case "append" if len({c for s in slots for c in numbers(cells.runs(s))}) < 60:
                count = chance.randint(1, 4)
                for cell in numbers(cells.append(slot, count)):
                    held[cell] = token
                expected[slot] += [token] * count
            case "fork" if expected[slot]:
                end = chance.randint(1, len(expected[slot]))
                start = chance.randint(0, min(end - 1, len(expected[other])))
                cells.fork(slot, other, start, end)
                old = expected[other]
                expected[other] = old[:start] + expected[slot][start:end] + old[end:]
            case "trim":
                length = chance.randint(0, len(expected[slot]))
                cells.trim(slot, length)
                del expected[slot][length:]
        for s in slots:
            assert [held[cell] for cell in numbers(cells.runs(s))] == expected[s]
            assert cells.length(s) == len(expected[s])
