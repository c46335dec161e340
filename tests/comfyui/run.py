"""Runs tests of the node pack with the Python of a ComfyUI: run.py PROGRAMS pure|live|long
[pytest's words ...]

COMFYUI_DIR names a ComfyUI 0.29 checkout, COMFYUI_PYTHON a Python with its requirements, grpcio and
pytest. Without them the tests are skipped, with ctest's code for that.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parity"))
from comfyui_process import SKIPPED, require_comfyui  # noqa: E402

SUITES = {
    "pure": [
        "test_adapter_file.py",
        "test_lora_sets.py",
        "test_meta_model.py",
        "test_samplers_as_data.py",
        "test_cut_choice.py",
        "test_single_evaluation.py",
        "test_remote_patcher.py",
        "test_model_choice.py",
    ],
    "live": ["test_features.py", "test_failures.py", "test_memory.py"],
    "long": ["test_sdxl.py"],
}


def build_client(folder: pathlib.Path) -> None:
    """luna_client as pip would install it, into a folder of the build."""
    source = HERE.parents[1] / "client/python"
    done = subprocess.run(
        [
            sys.executable,
            "setup.py",
            "-q",
            "egg_info",
            "--egg-base",
            folder,
            "build",
            "--build-base",
            folder / "build",
            "--build-lib",
            folder / "lib",
        ],
        cwd=source,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"luna_client could not be built:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def main(arguments: list[str]) -> int:
    programs, suite, *words = arguments
    require_comfyui()
    try:
        import grpc  # noqa: F401
        import pytest
    except ImportError as missing:
        print(f"SKIPPED: COMFYUI_PYTHON's Python lacks a package of these tests ({missing})")
        return SKIPPED
    os.environ["LUNA_PROGRAMS"] = programs
    made = pathlib.Path(programs).resolve().parent / "comfyui-tests"
    made.mkdir(parents=True, exist_ok=True)
    build_client(made)
    os.environ["LUNA_CLIENT"] = str(made / "lib")
    if suite == "pure":
        os.environ["LUNA_PURE_TESTS"] = "1"
    files = [str(HERE / name) for name in SUITES[suite]]
    return pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(HERE), *words, *files])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
