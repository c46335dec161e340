"""A whole generation: prompt to pictures, picture to picture, repainting under a mask
(client/pipeline in Python)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luna_client.calls.picture_batch import Generation, Limits, PipelineCalls, Wanted
from luna_client.calls.starting_picture import StartingPicture
from luna_client.errors import InvalidRequest
from luna_client.generation import Generated, OnGenerateProgress
from luna_client.models import Models, Precision
from luna_client.options import Cancel, Priority
from luna_client.sampling import (
    Lora,
    LoraApplication,
    SamplerRun,
)
from luna_client.tensors import TensorInput

_MAX_BATCH = 1024


class GenerateCalls(PipelineCalls):
    """The pipeline of `luna generate`, with its defaults."""

    async def generate(
        self,
        prompt: str,
        negative: str = "",
        *,
        models: Models | None = None,
        workflow_id: str | None = None,
        precision: Mapping[str, Precision] | None = None,
        width: int | None = None,
        height: int | None = None,
        seed: int = 0,
        steps: int = 20,
        cfg: float = 7.0,
        sampler: str = "euler",
        scheduler: str = "normal",
        denoise: float = 1.0,
        batch: int = 1,
        batch_index: int | None = None,
        clip_skip: int = 0,
        loras: Sequence[Lora] = (),
        picture_loras: Sequence[Sequence[Lora]] = (),
        lora_application: LoraApplication = "auto",
        image: TensorInput | None = None,
        mask: TensorInput | None = None,
        preview_every: int = 0,
        preview_edge: int = 512,
        on_progress: OnGenerateProgress | None = None,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Generated:
        """The same pixels as `luna generate` with the same words and numbers.

        models or workflow_id. width and height: pixels, multiples of 8; without them the size of
        `image`, else what suits the model. seed: one draw of noise for the whole batch, as
        ComfyUI's; batch_index: only that picture of it. picture_loras: a set for each picture of
        the batch, instead of loras. image: [H, W, 3] or [1, H, W, 3], u8 or f32 in 0..1, of the
        size asked for. mask [H, W], u8 or f32 in 0..1: 1 is repainted. timeout: of all stages
        together. Errors name the stage."""
        if (models is None) == (workflow_id is None):
            raise InvalidRequest("expected either models or a workflow_id")
        if not 1 <= batch <= _MAX_BATCH:
            raise InvalidRequest(f"batch {batch}: expected 1 to {_MAX_BATCH}")
        if batch_index is not None and not 0 <= batch_index < batch:
            raise InvalidRequest(
                f"picture {batch_index} of a batch of {batch}: expected 0 to {batch - 1}"
            )
        if picture_loras and len(picture_loras) != batch:
            raise InvalidRequest(
                f"expected a set of loras for each of {batch} pictures, found {len(picture_loras)}"
            )
        if mask is not None and image is None:
            raise InvalidRequest("a mask was given without the picture it belongs to")
        start = StartingPicture(image, mask) if image is not None else None
        wanted = Wanted(
            prompt,
            negative,
            seed,
            batch,
            cfg,
            clip_skip,
            lora_application,
            [tuple(each) for each in picture_loras] or [tuple(loras)] * batch,
        )
        run = SamplerRun(sampler, scheduler, steps, denoise)
        generation = Generation(
            self,
            wanted,
            run,
            preview_every,
            preview_edge,
            on_progress,
            Limits(timeout, priority, cancel),
        )
        numbers = [batch_index] if batch_index is not None else list(range(batch))
        return await generation.make(numbers, models, workflow_id, precision, start, width, height)
