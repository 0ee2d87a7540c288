from pathlib import Path

from codeserve.app.bench.plots import write_plots
from codeserve.app.bench.results import BenchResult, Measurement, collect

PNG = b"\x89PNG\r\n\x1a\n"


def result(*names: str) -> BenchResult:
    figures = {"ttft_p50": 1.0, "ttft_p95": 2.0, "total_rate": 20.0}
    measured = [Measurement(name, 1, 0, 0, figures, ()) for name in names]
    return BenchResult("http://127.0.0.1", "m", 1, 1, 3.5, collect(measured))


def test_plots_are_png_files(tmp_path: Path) -> None:
    written = write_plots(result("single", "concurrency-1", "concurrency-4"), tmp_path)
    assert {path.name for path in written} == {
        "ttft.png",
        "inter-token.png",
        "decode.png",
        "concurrency.png",
    }
    assert all(path.read_bytes().startswith(PNG) for path in written)


def test_without_a_sweep_there_is_no_plot_of_one(tmp_path: Path) -> None:
    names = {path.name for path in write_plots(result("single"), tmp_path)}
    assert "concurrency.png" not in names
