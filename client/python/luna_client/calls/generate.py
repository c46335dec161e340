"""A whole generation: prompt to pictures, picture to picture, repainting under a mask (client/pipeline in Python)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luna_client.calls.inference import Inference
from luna_client.calls.workflows import Workflows
from luna_client.generation import Generated, OnGenerateProgress
from luna_client.models import Models, Precision
from luna_client.options import Cancel, Priority
from luna_client.sampling import Lora, LoraApplication
from luna_client.tensors import TensorInput


class GenerateCalls(Inference, Workflows):
    """The pipeline of `luna generate`, with its defaults."""

    async def generate(self, prompt: str, negative: str = "", *, models: Models | None = None,
                       workflow_id: str | None = None, precision: Mapping[str, Precision] | None = None,
                       width: int | None = None, height: int | None = None, seed: int = 0, steps: int = 20,
                       cfg: float = 7.0, sampler: str = "euler", scheduler: str = "normal", denoise: float = 1.0,
                       batch: int = 1, batch_index: int | None = None, clip_skip: int = 0, loras: Sequence[Lora] = (),
                       picture_loras: Sequence[Sequence[Lora]] = (), lora_application: LoraApplication = "auto",
                       image: TensorInput | None = None, mask: TensorInput | None = None, preview_every: int = 0,
                       preview_edge: int = 512, on_progress: OnGenerateProgress | None = None,
                       timeout: float | None = None, priority: Priority | None = None,
                       cancel: Cancel | None = None) -> Generated:
        """The same pixels as `luna generate` with the same words and numbers.

        models or workflow_id. width and height: pixels, multiples of 8; without them the size of `image`, else what
        suits the model. seed: one draw of noise for the whole batch, as ComfyUI's; batch_index: only that picture of it.
        picture_loras: a set for each picture of the batch, instead of loras. image: [H, W, 3] or [1, H, W, 3], u8 or
        f32 in 0..1, of the size asked for. mask [H, W] in 0..1: 1 is repainted. timeout: of all stages together."""
        raise NotImplementedError
