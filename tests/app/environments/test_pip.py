from codeserve.app.environments.pip import PipReader, Step


def test_pips_lines_become_steps() -> None:
    reader = PipReader(total=3)
    lines = (
        "Collecting torch==2.13.0 (from -r list.txt (line 3))",
        "  Downloading torch-2.13.0-cp311-cp311-linux_x86_64.whl (190.4 MB)",
        "Processing /wheels/numpy-2.2.6-cp311-cp311-linux_x86_64.whl (from -r list.txt (line 4))",
        "  Preparing metadata (pyproject.toml): started",
        "Building wheels for collected packages: gptqmodel",
        "  Building wheel for gptqmodel (pyproject.toml): started",
        "Installing collected packages: numpy, torch",
        "Successfully installed numpy-2.2.6 torch-2.13.0",
    )
    steps = [step for line in lines if (step := reader.read(line))]
    assert steps == [
        Step(phase="collecting", package="torch==2.13.0", done=1, total=3),
        Step(
            phase="downloading",
            package="torch-2.13.0-cp311-cp311-linux_x86_64.whl (190.4 MB)",
            done=1,
            total=3,
        ),
        Step(
            phase="collecting",
            package="numpy-2.2.6-cp311-cp311-linux_x86_64.whl",
            done=2,
            total=3,
        ),
        Step(phase="building", package="gptqmodel", done=2, total=3),
        Step(phase="installing", total=2),
    ]
