from codeserve.app.manager.transfer import WINDOW_SECONDS, Transfer


def test_nothing_is_known_at_first() -> None:
    transfer = Transfer()
    assert transfer.speed(1.0) is None
    transfer.note(1.0, 10)
    assert transfer.speed(2.0) is None
    assert transfer.seconds_left(2.0, 100) is None


def test_a_steady_download_has_its_speed_and_time_left() -> None:
    transfer = Transfer()
    for second in range(5):
        transfer.note(float(second), 10 * second)
    assert transfer.speed(4.0) == 10.0
    assert transfer.seconds_left(4.0, 100) == 6.0


def test_only_the_last_seconds_count() -> None:
    transfer = Transfer()
    transfer.note(0.0, 0)
    transfer.note(1.0, 1000)
    for second in range(2, 30):
        transfer.note(float(second), 1000 + second)
    speed = transfer.speed(29.0)
    assert speed is not None
    assert 0.9 < speed < 1.1


def test_a_download_that_stalls_slows_down() -> None:
    transfer = Transfer()
    transfer.note(0.0, 0)
    transfer.note(1.0, 100)
    assert transfer.speed(1.0) == 100.0
    assert transfer.speed(10.0) == 10.0


def test_what_was_there_from_an_earlier_try_is_not_speed() -> None:
    transfer = Transfer()
    transfer.note(0.0, 500)
    transfer.note(WINDOW_SECONDS / 2, 550)
    assert transfer.speed(WINDOW_SECONDS / 2) == 10.0


def test_a_download_that_begins_again_is_measured_anew() -> None:
    transfer = Transfer()
    transfer.note(0.0, 500)
    transfer.note(1.0, 0)
    transfer.note(2.0, 7)
    assert transfer.speed(2.0) == 7.0
