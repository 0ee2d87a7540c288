import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp import build

PINS = "llama-cpp-python==0.3.36 --hash=sha256:00\n"


def runs_amx_with(compiler: str, tmp_path: Path) -> int:
    program = tmp_path / "tile_config"
    header = build.FOLDER / "amx_gcc.h"
    source = Path(__file__).parent / "tile_config.cc"
    flags = ["-O3", "-march=native", "-include", str(header)]
    subprocess.run([compiler, *flags, str(source), "-o", str(program)], check=True)
    return subprocess.run([str(program)]).returncode


@pytest.mark.skipif(not build.amx_note(), reason="this CPU has no AMX")
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no GCC")
def test_the_header_makes_gcc_configure_amx_tiles_fully(tmp_path: Path) -> None:
    if (code := runs_amx_with("g++", tmp_path)) == 2:
        pytest.skip("the kernel denies AMX")
    assert code == 0


ATTENTION = """\
        for (int64_t ic = ic_start; ic < ic_end; ++ic) {
            const float mv = mp ? slope*GGML_CPU_FP16_TO_FP32(mp[ic]) : 0.0f;
            visit[ic] = "a;b[c]";
        }
"""
CACHE = """#include <unordered_map>
        ggml_backend_buffer_clear(buf, 0);
        ctxs_bufs.emplace_back(std::move(ctx), buf);
"""


def edit(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    given = [f"-D{setting}" for setting in ("CMAKE_SYSTEM_NAME=Linux", *settings)]
    command = ["cmake", *given, "-P", str(build.FOLDER / "edits.cmake")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def write_source(folder: Path, attention: str, cache: str) -> tuple[Path, Path]:
    ops, kv_cache = folder / "ggml/src/ggml-cpu/ops.cpp", folder / "src/llama-kv-cache.cpp"
    for file, code in ((ops, attention), (kv_cache, cache)):
        file.parent.mkdir(parents=True)
        file.write_text(code)
    return ops, kv_cache


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no CMake")
def test_the_source_is_edited_in_its_places_and_once(tmp_path: Path) -> None:
    ops, kv_cache = write_source(tmp_path, ATTENTION, CACHE)

    edit(tmp_path).check_returncode()
    edit(tmp_path).check_returncode()

    lines = ops.read_text().splitlines(keepends=True)
    assert lines[1].endswith("mp[ic] == 0xFC00) ++ic;\n")
    assert lines[2].endswith("if (ic == ic_end) break;\n")
    assert "".join(lines[:1] + lines[3:]) == ATTENTION
    lines = kv_cache.read_text().splitlines()
    assert lines[1].endswith('fresh_pages.h"')
    assert lines[2].endswith("!codeserve_fresh_pages(buf))")
    assert [lines[0], lines[3].replace("    ", "", 1), lines[4]] == CACHE.splitlines()


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no CMake")
@pytest.mark.parametrize(
    ("attention", "cache", "unknown"),
    [
        (ATTENTION.replace("++ic", "ic += 1"), CACHE, "ops.cpp"),
        (ATTENTION, CACHE.replace("clear", "zero"), "llama-kv-cache.cpp"),
    ],
)
def test_a_source_that_is_not_the_one_expected_stops_the_build(
    tmp_path: Path, attention: str, cache: str, unknown: str
) -> None:
    write_source(tmp_path, attention, cache)

    done = edit(tmp_path)

    assert done.returncode
    assert "edits.cmake does not know this" in done.stderr
    assert unknown in done.stderr


REGISTRY = """namespace fs = std::filesystem;
        search_paths.push_back(get_executable_path());
            search_paths.push_back(cwd);
"""


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no CMake")
def test_kernels_are_looked_for_beside_the_library_alone(tmp_path: Path) -> None:
    write_source(tmp_path, ATTENTION, CACHE)
    registry = tmp_path / "ggml/src/ggml-backend-reg.cpp"
    registry.write_text(REGISTRY)

    edit(tmp_path, "GGML_BACKEND_DL=ON").check_returncode()

    include, *search = registry.read_text().splitlines()[1:]
    assert include.endswith('beside_library.h"')
    assert [line.strip() for line in search] == [
        "search_paths.push_back(codeserve_beside_library());",
        "(void) cwd;",
    ]


def test_a_build_for_other_machines_is_the_same_on_every_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    portable, native = build.PORTABLE, build.Recipe("native")
    here = portable.key(PINS, "g++ 12"), native.key(PINS, "g++ 12")
    monkeypatch.setattr(build, "cpu_features", lambda: "x86_64 sse4_2")

    assert portable.key(PINS, "g++ 12") == here[0]
    assert native.key(PINS, "g++ 12") != here[1]


def test_a_recipe_without_amx_follows_where_the_cpu_has_it() -> None:
    names = [recipe.name for recipe in build.recipes()]

    assert ("the CPU's own instructions without AMX" in names) == bool(build.amx_note())
    if sys.platform == "linux":
        assert names[-1] == "portable instructions (GGML_NATIVE=OFF)"


def test_everything_that_shapes_a_build_changes_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    native, portable = build.Recipe("native"), build.Recipe("portable", ("-DGGML_NATIVE=OFF",))
    keys = {
        native.key(PINS, "g++ 12"),
        native.key(PINS, "g++ 13"),
        native.key(PINS.replace("36", "37"), "g++ 12"),
        portable.key(PINS, "g++ 12"),
    }
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_VULKAN=ON")
    keys.add(native.key(PINS, "g++ 12"))

    assert len(keys) == 5
    assert native.key(PINS, "g++ 12") == native.key(PINS, "g++ 12")


def test_no_compiler_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(build.BuildError, match=r"No C\+\+ compiler.*apt-get install g\+\+"):
        build.compiler_version()


def test_a_requirements_file_without_the_pin_is_an_error(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy==2.0\n")

    with pytest.raises(build.BuildError, match="pins no llama-cpp-python"):
        build.source_archive(requirements)


def test_a_repeated_set_up_does_nothing() -> None:
    requirements = Path(__file__).parents[3] / "requirements" / "llama-cpp.txt"
    command = [sys.executable, "-m", "codeserve.engines.llama_cpp.build", str(requirements)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.endswith("nothing to do\n")
