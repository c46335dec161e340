"""Runs tests of the node pack with the Python of a ComfyUI: run.py PROGRAMS pure|live|long [pytest's words ...]

COMFYUI_DIR names a ComfyUI 0.29 checkout, COMFYUI_PYTHON a Python with its requirements, grpcio and pytest. Without them
the tests are skipped, with ctest's code for that."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parity"))
from comfyui_process import SKIPPED, require_comfyui  # noqa: E402

SUITES = {
    "pure": ["test_adapter_file.py", "test_lora_sets.py", "test_meta_model.py", "test_samplers_as_data.py",
             "test_cut_choice.py", "test_single_evaluation.py", "test_remote_patcher.py", "test_model_choice.py"],
    "live": ["test_features.py", "test_failures.py", "test_memory.py"],
    "long": ["test_sdxl.py"],
}


def main(arguments: list[str]) -> int:
    programs, suite, *words = arguments
    require_comfyui()
    try:
        import grpc  # noqa: F401
        import pytest
    except ImportError as missing:
        print(f"SKIPPED: the Python that COMFYUI_PYTHON names lacks a package of these tests ({missing})")
        return SKIPPED
    os.environ["LUNA_PROGRAMS"] = programs
    if suite == "pure":
        os.environ["LUNA_PURE_TESTS"] = "1"
    files = [str(HERE / name) for name in SUITES[suite]]
    return pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(HERE), *words, *files])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
