from codeserve.app.manager.watchdog import START, LoadStage, Watchdog
from codeserve.engines.types import EngineLoad

IDLE = EngineLoad(running=0, waiting=0, steps=7)


def looks(*seen: tuple[int, EngineLoad]) -> list[str | None]:
    """The verdicts of a watchdog that looks once a second."""
    watchdog = Watchdog(heartbeat_timeout=4.0, stall_timeout=6.0)
    assert watchdog.interval == 1.0
    return [watchdog.look(heartbeats, load) for heartbeats, load in seen]


def working(step: int) -> EngineLoad:
    return EngineLoad(running=2, waiting=1, steps=step)


def test_an_idle_worker_with_heartbeats_is_well() -> None:
    assert set(looks(*((beat, IDLE) for beat in range(1, 20)))) == {None}


def test_a_worker_that_makes_steps_is_well() -> None:
    assert set(looks(*((beat, working(beat)) for beat in range(1, 20)))) == {None}


def test_a_worker_without_heartbeats_hangs() -> None:
    *before, verdict = looks(*[(1, IDLE)] * 5)
    assert set(before) == {None}
    assert verdict == "the worker hung: no heartbeat for 4 s"


def test_a_heartbeat_ends_a_silence() -> None:
    silence = [(1, IDLE)] * 4
    assert set(looks(*silence, (2, IDLE), *[(2, IDLE)] * 3)) == {None}


def test_work_without_a_step_is_a_hang() -> None:
    *before, verdict = looks(*((beat, working(1)) for beat in range(1, 8)))
    assert set(before) == {None}
    assert verdict is not None
    assert "no step completed for 6 s with 2 requests running and 1 waiting" in verdict


def test_requests_that_wait_for_an_engine_that_does_nothing_are_a_hang() -> None:
    load = EngineLoad(running=0, waiting=1, steps=0)
    assert looks(*((beat, load) for beat in range(1, 8)))[-1] is not None


def test_idle_time_does_not_count_as_a_stall() -> None:
    idle = [(beat, IDLE) for beat in range(1, 20)]
    assert set(looks(*idle, *((beat, working(7)) for beat in range(20, 25)))) == {None}


def watched(*, loading: LoadStage | None = None) -> Watchdog:
    watchdog = Watchdog(heartbeat_timeout=4.0, stall_timeout=6.0, load_stall_timeout=5.0)
    watchdog.loading = loading
    return watchdog


def test_silence_shows_long_before_the_worker_is_replaced() -> None:
    watchdog = watched()
    shown = [(watchdog.look(1, IDLE), watchdog.stalled)[1] for _ in range(4)]
    assert shown == [None, None, "no heartbeat for 2 s", "no heartbeat for 3 s"]
    watchdog.look(2, IDLE)
    assert watchdog.stalled is None


def test_standing_still_with_work_shows_long_before_the_worker_is_replaced() -> None:
    watchdog = watched()
    shown = [(watchdog.look(beat, working(1)), watchdog.stalled)[1] for beat in range(1, 6)]
    assert shown[:3] == [None] * 3
    assert shown[3:] == [f"no step for {seconds} s with work to do" for seconds in (3, 4)]
    watchdog.look(6, working(2))
    assert watchdog.stalled is None


def test_an_engine_with_a_stopped_process_hangs_though_its_worker_sends_heartbeats() -> None:
    watchdog = watched()
    seen = [(watchdog.look(beat, IDLE, stopped=True), watchdog.stalled) for beat in range(1, 5)]
    assert [verdict for verdict, _ in seen[:3]] == [None] * 3
    assert seen[2][1] == "a process of the engine has been stopped for 3 s"
    assert seen[3][0] == "the engine hung: a signal stopped one of its processes for 4 s"


def test_processes_deserve_a_look_while_nothing_shows_that_they_work() -> None:
    watchdog = watched()
    assert [(watchdog.look(n, working(n)), watchdog.is_wary)[1] for n in (1, 2)] == [False] * 2
    watchdog.look(3, working(2))
    assert watchdog.is_wary
    assert watched(loading=START).is_wary


def test_the_interval_suits_a_short_timeout() -> None:
    assert Watchdog(heartbeat_timeout=2.0, stall_timeout=300.0).interval == 0.5
    assert Watchdog(heartbeat_timeout=30, stall_timeout=300, load_stall_timeout=1).interval == 0.25


def loads(*stages: LoadStage | None, timeout: float | None = 5.0) -> list[str | None]:
    """The verdicts over a worker that sends heartbeats while it loads."""
    watchdog = Watchdog(heartbeat_timeout=4.0, stall_timeout=8.0, load_stall_timeout=timeout)
    verdicts = []
    for beat, stage in enumerate(stages, 1):
        watchdog.loading = stage
        verdicts.append(watchdog.look(beat, IDLE))
    return verdicts


def test_loading_that_stands_still_hangs_where_there_is_a_bound() -> None:
    *before, verdict = loads(START, *[("weights", 0.42)] * 6)
    assert set(before) == {None}
    assert verdict == "loading hung: weights stayed at 42% for 5 s, the model's load_stall_timeout"
    assert set(loads(*[START] * 600, timeout=None)) == {None}


def test_loading_that_moves_a_little_may_take_for_ever() -> None:
    assert set(loads(*(("weights", look // 4 / 10_000) for look in range(1000)))) == {None}


def test_a_loaded_worker_stands_still_by_right() -> None:
    assert set(loads(*[("weights", 1.0)] * 4, *[None] * 100, *[START] * 4)) == {None}
