"""File sizes are the published ones where there are any, and close to them elsewhere."""

import pytest

from codeserve.model_specs.catalog import Catalog

# Gigabytes of file and of memory, by the model card of deepseek-coder-33B-instruct-GGUF.
PUBLISHED_33B = {
    "Q2_K": (14.03, 16.53),
    "Q3_K_S": (14.42, 16.92),
    "Q3_K_M": (16.07, 18.57),
    "Q3_K_L": (17.56, 20.06),
    "Q4_0": (18.82, 21.32),
    "Q4_K_S": (18.89, 21.39),
    "Q4_K_M": (19.94, 22.44),
    "Q5_0": (22.96, 25.46),
    "Q5_K_S": (22.96, 25.46),
    "Q5_K_M": (23.54, 26.04),
    "Q6_K": (27.36, 29.86),
    "Q8_0": (35.43, 37.93),
}


@pytest.mark.parametrize(("quantization", "published"), PUBLISHED_33B.items())
def test_33b_instruct_has_the_model_cards_sizes(
    catalog: Catalog, quantization: str, published: tuple[float, float]
) -> None:
    size = catalog.select(
        "deepseek-coder-instruct", size_in_billions="33", quantization=quantization
    ).file_size
    assert size is not None
    assert size.exact
    assert size.gigabytes == published[0]
    assert size.ram_gigabytes == pytest.approx(published[1])


@pytest.mark.parametrize(("quantization", "published"), PUBLISHED_33B.items())
def test_the_estimate_for_33b_base_is_the_table_it_comes_from(
    catalog: Catalog, quantization: str, published: tuple[float, float]
) -> None:
    size = catalog.select(
        "deepseek-coder", size_in_billions="33", quantization=quantization
    ).file_size
    assert size is not None
    assert not size.exact
    assert size.gigabytes == pytest.approx(published[0], abs=0.01)


@pytest.mark.parametrize(("size", "gigabytes"), [("1_3", 0.87), ("6_7", 4.08)])
def test_estimates_for_smaller_models_are_good_to_a_tenth(
    catalog: Catalog, size: str, gigabytes: float
) -> None:
    estimate = catalog.select("deepseek-coder", size_in_billions=size).file_size
    assert estimate is not None
    assert estimate.gigabytes == pytest.approx(gigabytes, rel=0.1)


@pytest.mark.parametrize(
    ("size", "rows", "billions"), [("1_3", 32256, 1.35), ("6_7", 32256, 6.74), ("7", 102400, 6.91)]
)
def test_shapes_have_the_published_number_of_parameters(
    catalog: Catalog, size: str, rows: int, billions: float
) -> None:
    shape = catalog.family("deepseek-coder").shapes[size]
    assert shape.parameters(rows) / 1e9 == pytest.approx(billions, abs=0.005)


def test_a_format_other_than_gguf_has_no_file_size(catalog: Catalog) -> None:
    chosen = catalog.select("deepseek-coder", size_in_billions="33", model_format="pytorch")
    assert chosen.file_size is None
