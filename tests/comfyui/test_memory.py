"""Three ComfyUIs on one daemon: the weights are in memory once, and a ComfyUI with Luna's nodes
stays small."""

import pathlib
from collections.abc import Iterator
from contextlib import ExitStack

import features
import graphs
import luna_client
import psutil
import pytest
from harness import Daemon, LunaComfyUI, memory_mib
from model_files import CHECKPOINT, write_pictures

ABOVE_EMPTY_MIB = 100


@pytest.fixture
def alone(programs, models, tmp_path) -> Iterator[Daemon]:
    with Daemon(programs, models, tmp_path) as running:
        yield running


def _daemon_mib(daemon: Daemon) -> float:
    lunad = psutil.Process(daemon.process.pid)
    return sum(memory_mib(process.pid)[0] for process in [lunad, *lunad.children(recursive=True)])


def _weights(daemon: Daemon) -> int:
    """Bytes of models that the workers hold."""
    with luna_client.connect(f"unix:{daemon.socket}") as luna:
        return sum(worker.memory["weights"] for worker in luna.status().workers)


def test_three_comfyuis_hold_the_weights_once_and_stay_near_an_empty_one(
    alone, models, tmp_path
) -> None:
    with ExitStack() as stack:
        empty = stack.enter_context(
            LunaComfyUI(tmp_path / "empty", models, alone.socket, pack=False)
        )
        users = [
            stack.enter_context(LunaComfyUI(tmp_path / f"user{number}", models, alone.socket))
            for number in range(3)
        ]
        held: list[tuple[int, float]] = []
        for number, user in enumerate(users):
            write_pictures(user.base / "input")
            for feature in (
                features.lora_on_model_and_clip,
                features.image_to_image,
                features.by_name("rescale_cfg"),
            ):
                user.pictures(graphs.build(feature, graphs.luna(CHECKPOINT), seed=number))
            held.append((_weights(alone), _daemon_mib(alone)))
        above = [memory_mib(user.pid)[0] - memory_mib(empty.pid)[0] for user in users]
        print(
            f"an empty ComfyUI: {memory_mib(empty.pid)[0]:.0f} MiB; above it: "
            f"{', '.join(f'{one:.0f}' for one in above)} MiB; daemon with its worker after each: "
            f"{', '.join(f'{mib:.0f}' for _, mib in held)} MiB, "
            f"of which weights {held[0][0] >> 20} MiB"
        )
        assert max(above) <= ABOVE_EMPTY_MIB
        assert held[0][0] == held[1][0] == held[2][0]
        assert held[2][1] <= 1.1 * held[0][1]
        for user in users:
            assert "random-sd15" not in pathlib.Path(f"/proc/{user.pid}/maps").read_text()
