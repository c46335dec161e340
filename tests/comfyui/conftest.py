"""ComfyUI importable, and the node pack as the package `comfyui_luna`, for tests of parts; servers
for the live ones."""

import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [
    os.environ["COMFYUI_DIR"],
    os.environ["LUNA_CLIENT"],
    str(ROOT / "tests/parity"),
    str(pathlib.Path(__file__).parent),
]


def _import_pack() -> None:
    """As ComfyUI does it: a folder whose name is no Python name."""
    import comfy.options  # noqa: F401
    from comfy.cli_args import args

    args.cpu = True
    spec = importlib.util.spec_from_file_location(
        "comfyui_luna",
        ROOT / "client/comfyui/__init__.py",
        submodule_search_locations=[str(ROOT / "client/comfyui")],
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["comfyui_luna"] = module
    spec.loader.exec_module(module)


if os.environ.get("LUNA_PURE_TESTS"):
    _import_pack()


@pytest.fixture(scope="session")
def programs() -> pathlib.Path:
    """Where lunad is."""
    return pathlib.Path(os.environ["LUNA_PROGRAMS"]).resolve()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of models in ComfyUI's layout, of random weights."""
    import model_files

    folder = tmp_path_factory.mktemp("models")
    model_files.write(folder)
    return folder


@pytest.fixture(scope="session")
def daemon(
    programs: pathlib.Path, models: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator:
    from harness import Daemon

    with Daemon(programs, models, tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture(scope="session")
def comfyui(daemon, models: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    import model_files
    from harness import LunaComfyUI

    base = tmp_path_factory.mktemp("comfyui")
    with LunaComfyUI(base, models, daemon.socket, "--preview-method", "latent2rgb") as running:
        model_files.write_pictures(base / "input")
        yield running
