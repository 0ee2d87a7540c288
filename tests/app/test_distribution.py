from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from codeserve.app.distribution import (
    SECONDS_BETWEEN_TOKENS,
    SECONDS_OF_LOADING,
    SECONDS_OF_REQUESTS,
    SECONDS_TO_FIRST_TOKEN,
    TOKENS,
    Distribution,
)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 7.0]), max_size=20))
def test_values_are_counted_as_the_client_library_of_prometheus_counts_them(
    values: list[float],
) -> None:
    bounds = (0.5, 1.0, 2.0)
    histogram = Histogram("h", "", buckets=bounds, registry=CollectorRegistry())
    for value in values:
        histogram.observe(value)
    theirs = {
        sample.labels.get("le"): sample.value
        for metric in histogram.collect()
        for sample in metric.samples
    }

    ours = Distribution(bounds)
    ours.add_all(values)

    assert dict(ours.cumulative()) == {bound: theirs[bound] for bound, _ in ours.cumulative()}
    assert (ours.count, ours.sum) == (len(values), sum(values))


def test_all_bounds_rise() -> None:
    for bounds in (
        SECONDS_OF_REQUESTS,
        SECONDS_TO_FIRST_TOKEN,
        SECONDS_BETWEEN_TOKENS,
        SECONDS_OF_LOADING,
        TOKENS,
    ):
        assert list(bounds) == sorted(set(bounds))
