"""A proxied model without a daemon, for tests of parts."""

import pathlib
from typing import Any

import luna_client
import torch
from comfyui_luna import checkpoint_tensors, meta_model
from comfyui_luna.remote_model import RemotePatcher, make_remote

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models/checkpoints/luna-scenes.safetensors"


class FakeServed:
    """Answers as a daemon whose network returns `answer(row)`, and remembers what it was asked."""

    def __init__(self, answer: Any = lambda row: row.x * 0.5) -> None:
        self.answer, self.rows, self.layers, self.sampling, self.local, self.last_run = (
            answer,
            [],
            [],
            None,
            None,
            "",
        )

    def loras(self, layers: list) -> list[luna_client.Lora]:
        self.layers = list(layers)
        return [
            luna_client.Lora(f"sha256:{number}", layer.strength)
            for number, layer in enumerate(layers)
        ]

    def denoise(self, rows: list[luna_client.DenoiseRow]) -> torch.Tensor:
        self.rows = rows
        return torch.stack([self.answer(row) for row in rows])


def remote_patcher(served: FakeServed) -> RemotePatcher:
    tensors, metadata = checkpoint_tensors.from_header(SHIPPED)
    model = meta_model.build(tensors, metadata, "sd1", torch.device("cpu"))
    return RemotePatcher.over(make_remote(model, served), torch.device("cpu"))
