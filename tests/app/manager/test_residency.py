from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.manager.residency import GIB, Decision, Limits, Resident, Wish, decide

NOW = 1000.0
LONG_AGO = 100.0
LIMITS = Limits(budget={"memory": 10}, patience=30, residence=20, lull=3)


def resident(
    name: str,
    memory: int = 4,
    *,
    leases: int = 0,
    used: float = LONG_AGO,
    since: float = LONG_AGO,
    pinned: bool = False,
    settled: bool = True,
    leaving: bool = False,
) -> Resident:
    return Resident(
        id=name,
        needs={"memory": memory},
        leases=leases,
        last_used=used,
        since=since,
        pinned=pinned,
        settled=settled and not leaving,
        leaving=leaving,
    )


def wish(name: str, memory: int = 4, since: float = NOW) -> Wish:
    return Wish(id=name, needs={"memory": memory}, since=since)


def test_wishes_that_fit_are_loaded_at_once_and_together() -> None:
    decision = decide(NOW, [resident("a", 2)], [wish("b"), wish("c")], LIMITS)
    assert decision == Decision(load=("b", "c"))


def test_the_least_recently_used_goes_and_no_more_than_must() -> None:
    residents = [
        resident("new", used=NOW - 10),
        resident("small", 1, used=NOW - 90),
        resident("old", used=NOW - 50),
    ]
    assert decide(NOW, residents, [wish("b", 5)], LIMITS) == Decision(evict=("old",))


def test_who_has_nothing_of_what_is_missing_stays() -> None:
    limits = Limits(budget={"memory": 10, "gpu0": 10})
    on_cpu = Resident(id="cpu", needs={"memory": 9}, last_used=1)
    on_gpu = Resident(id="gpu", needs={"gpu0": 8, "memory": 1}, last_used=2)
    asked = Wish(id="b", needs={"gpu0": 4}, since=NOW)
    assert decide(NOW, [on_cpu, on_gpu], [asked], limits).evict == ("gpu",)


def test_models_are_counted_where_their_number_is_limited() -> None:
    limits = Limits(max_loaded=2)
    residents = [resident("a", used=NOW - 50), resident("b", used=NOW - 60)]
    assert decide(NOW, residents, [wish("c")], limits) == Decision(evict=("b",))


def test_needs_that_nobody_knows_fit_anywhere() -> None:
    decision = decide(NOW, [resident("a", 10)], [Wish(id="b", needs={}, since=NOW)], LIMITS)
    assert decision == Decision(load=("b",))


def test_room_that_is_being_freed_is_not_freed_twice() -> None:
    residents = [resident("a", leaving=True), resident("c")]
    assert decide(NOW, residents, [wish("b", 6)], LIMITS) == Decision()


def test_room_that_is_yet_to_be_freed_is_not_given_away() -> None:
    residents = [resident("a", leaving=True), resident("c", 2)]
    wishes = [wish("b", since=NOW - 2), wish("d", since=NOW - 1)]
    assert decide(NOW, residents, wishes, LIMITS) == Decision(load=("b",))


def test_who_can_go_now_goes_before_a_busy_one_that_was_used_less_recently() -> None:
    residents = [resident("busy", 5, leases=1, used=NOW - 90), resident("idle", 5, used=NOW - 9)]
    assert decide(NOW, residents, [wish("b", 5)], LIMITS) == Decision(evict=("idle",))


def test_a_model_that_was_just_loaded_is_not_closed_even_for_an_old_wish() -> None:
    fresh = resident("a", 8, leases=1, since=NOW - 5)
    assert decide(NOW, [fresh], [wish("b", since=NOW - 90)], LIMITS) == Decision(again=15.0)


def test_a_busy_model_is_waited_for() -> None:
    decision = decide(NOW, [resident("a", 8, leases=1)], [wish("b", since=NOW - 10)], LIMITS)
    assert decision == Decision(again=20.0)


def test_a_busy_model_takes_no_new_requests_when_others_have_waited_too_long() -> None:
    residents = [resident("a", 8, leases=1)]
    decision = decide(NOW, residents, [wish("b", since=NOW - 30)], LIMITS)
    assert decision == Decision(close=frozenset({"a"}))


def test_idle_models_stay_until_the_busy_one_goes_that_must_go_too() -> None:
    residents = [resident("idle", 5), resident("busy", 5, leases=1)]
    assert decide(NOW, residents, [wish("b", 10)], LIMITS).evict == ()
    late = decide(NOW, residents, [wish("b", 10, since=NOW - 30)], LIMITS)
    assert late == Decision(close=frozenset({"idle", "busy"}))


def test_a_model_between_two_requests_is_not_taken_for_idle() -> None:
    fresh = resident("a", 8, used=NOW - 1, since=NOW - 5)
    assert decide(NOW, [fresh], [wish("b")], LIMITS) == Decision(again=2.0)


def test_a_model_in_use_may_go_between_two_requests_after_its_residence() -> None:
    settled = resident("a", 8, used=NOW - 1, since=NOW - 20)
    assert decide(NOW, [settled], [wish("b")], LIMITS) == Decision(evict=("a",))


def test_residence_is_bounded_by_patience() -> None:
    limits = Limits(budget={"memory": 10}, patience=10, residence=1000)
    settled = resident("a", 8, used=NOW - 1, since=NOW - 10)
    assert decide(NOW, [settled], [wish("b")], limits) == Decision(evict=("a",))


def test_a_model_serves_those_who_waited_for_it_before_it_goes() -> None:
    loaded = resident("a", 8, since=NOW - 100)
    wishes = [wish("a", 8, since=NOW - 120), wish("b", since=NOW - 110)]
    assert decide(NOW, [loaded], wishes, LIMITS) == Decision()


def test_a_closed_model_goes_though_new_requests_wait_for_it() -> None:
    loaded = resident("a", 8, since=NOW - 100, used=NOW)
    wishes = [wish("a", 8, since=NOW - 5), wish("b", since=NOW - 40)]
    assert decide(NOW, [loaded], wishes, LIMITS) == Decision(evict=("a",))


def test_a_young_wish_takes_no_room_that_an_older_one_waits_for() -> None:
    residents = [resident("a", 6, leases=1)]
    wishes = [wish("big", 8, since=NOW - 5), wish("small", 3)]
    assert decide(NOW, residents, wishes, LIMITS).load == ()


def test_a_young_wish_is_met_where_it_is_in_nobodys_way() -> None:
    residents = [resident("a", 6, leases=1)]
    wishes = [wish("big", 8, since=NOW - 5), wish("small", 2)]
    assert decide(NOW, residents, wishes, LIMITS).load == ("small",)


def test_a_wish_that_never_fits_is_refused_with_the_numbers() -> None:
    limits = Limits(budget={"memory": 6 * GIB})
    kept = resident("kept", GIB, pinned=True)
    refused = decide(NOW, [kept], [wish("b", 6 * GIB)], limits).refuse
    assert refused["b"] == (
        "'b' needs 6.0 GiB of memory, but models may take 6.0 GiB together, of which 1.0 GiB are "
        "kept by 'kept', pinned"
    )


def test_a_wish_is_refused_where_pinned_models_are_all_that_may_be_loaded() -> None:
    refused = decide(NOW, [resident("kept", pinned=True)], [wish("b")], Limits(max_loaded=1)).refuse
    assert refused["b"] == (
        "'b' cannot be loaded: at most 1 models may be loaded at once (max_loaded), and 'kept' "
        "stay, being pinned"
    )


POOLS = ("memory", "gpu0")
TIMES = st.floats(0, NOW)
NEEDS = st.dictionaries(st.sampled_from(POOLS), st.integers(0, 12))


@st.composite
def residents(draw: st.DrawFn) -> Sequence[Resident]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True))
    return [
        Resident(
            id=name,
            needs=draw(NEEDS),
            pinned=draw(st.booleans()),
            leases=draw(st.integers(0, 2)),
            settled=(settled := draw(st.booleans())),
            leaving=not settled and draw(st.booleans()),
            since=(since := draw(TIMES)),
            last_used=draw(st.floats(since, NOW)),
        )
        for name in names
    ]


@st.composite
def wishes(draw: st.DrawFn) -> Sequence[Wish]:
    names = draw(st.lists(st.sampled_from("abcdefgh"), unique=True))
    return [Wish(id=name, needs=draw(NEEDS), since=draw(TIMES)) for name in names]


limits = st.builds(
    Limits,
    budget=st.dictionaries(st.sampled_from(POOLS), st.integers(0, 20)),
    max_loaded=st.none() | st.integers(1, 4),
    patience=st.floats(0, 100),
    residence=st.floats(0, 100),
    lull=st.floats(0, 10),
)


@given(residents(), wishes(), limits)
def test_busy_pinned_and_unsettled_models_never_go(
    present: Sequence[Resident], asked: Sequence[Wish], limits: Limits
) -> None:
    decision = decide(NOW, present, asked, limits)
    by_id = {resident.id: resident for resident in present}
    for name in decision.evict:
        assert by_id[name].settled
        assert by_id[name].leases == 0
        assert not by_id[name].pinned
    assert not any(by_id[name].pinned or by_id[name].leaving for name in decision.close)


@given(residents(), wishes(), limits)
def test_what_is_loaded_fits_beside_all_that_is_there(
    present: Sequence[Resident], asked: Sequence[Wish], limits: Limits
) -> None:
    decision = decide(NOW, present, asked, limits)
    needs = {wish.id: wish.needs for wish in asked}
    for pool, budget in limits.budget.items():
        loaded = [needs[name].get(pool, 0) for name in decision.load]
        if any(loaded):
            there = sum(resident.needs.get(pool, 0) for resident in present)
            assert there + sum(loaded) <= budget
    if decision.load and limits.max_loaded is not None:
        assert len(present) + len(decision.load) <= limits.max_loaded


@given(residents(), wishes(), limits)
def test_a_model_has_one_fate(
    present: Sequence[Resident], asked: Sequence[Wish], limits: Limits
) -> None:
    decision = decide(NOW, present, asked, limits)
    fates = [*decision.load, *decision.evict, *decision.close, *decision.refuse]
    assert len(fates) == len(set(fates))
    assert not set(decision.load) & {resident.id for resident in present}


@given(residents(), NEEDS, limits)
def test_nobody_goes_who_could_stay(
    present: Sequence[Resident], needs: dict[str, int], limits: Limits
) -> None:
    asked = Wish(id="z", needs=needs, since=0.0)
    decision = decide(NOW, present, [asked], limits)
    gone = set(decision.evict) | decision.close
    stays = [resident for resident in present if not resident.leaving and resident.id not in gone]
    if gone:
        assert _fits(asked, stays, limits)
    for resident in present:
        if resident.id in gone:
            assert not _fits(asked, [*stays, resident], limits)


@given(residents(), wishes(), limits)
def test_every_wish_has_an_answer_a_way_or_somebody_to_wait_for(
    present: Sequence[Resident], asked: Sequence[Wish], limits: Limits
) -> None:
    decision = decide(NOW, present, asked, limits)
    moving = any(not resident.settled for resident in present)
    served = {wish.id for wish in asked} & {resident.id for resident in present}
    acted = decision.load or decision.evict or decision.close or decision.refuse
    assert not asked or acted or moving or served or decision.again is not None
    assert decision.again is None or decision.again > 0


def _fits(asked: Wish, beside: Sequence[Resident], limits: Limits) -> bool:
    if limits.max_loaded is not None and len(beside) >= limits.max_loaded:
        return False
    return all(
        not amount
        or pool not in limits.budget
        or sum(resident.needs.get(pool, 0) for resident in beside) + amount <= limits.budget[pool]
        for pool, amount in asked.needs.items()
    )
