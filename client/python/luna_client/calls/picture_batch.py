"""One generation from its checked request to its pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luna_client.calls.inference import Inference
from luna_client.calls.starting_picture import PictureSize, StartingPicture, picture_size
from luna_client.calls.workflows import Workflows
from luna_client.conditioning import Conditioning
from luna_client.errors import DeadlineExceeded, LunaError
from luna_client.generation import Generated, GenerateProgress, OnGenerateProgress, Stage
from luna_client.models import Models, Precision
from luna_client.options import Cancel, Priority
from luna_client.sampling import (
    AppliedLoras,
    Lora,
    LoraApplication,
    Noise,
    Progress,
    Row,
    SamplerRun,
)
from luna_client.tensors import Tensor, TensorInput, join
from luna_client.v1 import models_pb2, workflow_pb2

#: As many rows as a worker's forward takes by default: more would not be faster, and the first
#: pictures come later.
_ROWS_PER_CALL = 16
_DECODES_IN_FLIGHT = 8
_WORKFLOW_TTL_SECONDS = 3600


class PipelineCalls(Inference, Workflows):
    """What a generation is made of."""


@dataclass(frozen=True)
class Wanted:
    """What every picture of the batch has in common, and the sets of each."""

    prompt: str
    negative: str
    seed: int
    batch: int
    cfg: float
    clip_skip: int
    lora_application: LoraApplication
    loras: list[tuple[Lora, ...]]

    def text_loras(self, picture: int) -> tuple[Lora, ...]:
        """What of a picture's set concerns the text encoders."""
        strengths = [
            (lora, lora.strength if lora.clip_strength is None else lora.clip_strength)
            for lora in self.loras[picture]
        ]
        return tuple(
            dataclasses.replace(lora, strength=0.0, clip_strength=strength)
            for lora, strength in strengths
            if strength != 0
        )


class Limits:
    """Deadline, priority and cancel of all stages together. A failing stage ends those beside it
    by `cancel`."""

    def __init__(
        self, timeout: float | None, priority: Priority | None, cancel: Cancel | None
    ) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout
        self._priority = priority
        self.cancel = Cancel()
        self.forget = cancel.watch(self.cancel) if cancel else lambda: None

    def options(self) -> dict[str, Any]:
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            raise DeadlineExceeded("the timeout passed between two stages of the generation")
        return {"timeout": left, "priority": self._priority, "cancel": self.cancel}


class Generation:
    """One generation from its checked request to its pictures."""

    def __init__(
        self,
        calls: PipelineCalls,
        wanted: Wanted,
        run: SamplerRun,
        preview_every: int,
        preview_edge: int,
        on_progress: OnGenerateProgress | None,
        limits: Limits,
    ) -> None:
        self._calls = calls
        self._wanted = wanted
        self._run = run
        self._preview: dict[str, Any] = {
            "preview_every": preview_every,
            "preview_edge": preview_edge,
        }
        self._on_progress = on_progress
        self._limits = limits
        self._encoded: dict[Any, tuple[Conditioning, Conditioning]] = {}
        self._warnings: list[str] = []
        self._progress = GenerateProgress("register", steps=run.steps)

    async def make(
        self,
        numbers: list[int],
        models: Models | None,
        workflow_id: str | None,
        precision: Mapping[str, Precision] | None,
        start: StartingPicture | None,
        width: int | None,
        height: int | None,
    ) -> Generated:
        """The pictures of these numbers in the batch."""
        try:
            return await self._make(numbers, models, workflow_id, precision, start, width, height)
        finally:
            self._limits.forget()

    async def _make(
        self,
        numbers: list[int],
        models: Models | None,
        workflow_id: str | None,
        precision: Mapping[str, Precision] | None,
        start: StartingPicture | None,
        width: int | None,
        height: int | None,
    ) -> Generated:
        self._report("register", pictures_wanted=len(numbers))
        with _stage("registering the models"):
            workflow = await self._workflow(models, workflow_id, precision)
        size = picture_size(width, height, start, workflow.components)
        result = Generated(None, None, numbers, workflow.workflow_id, size.width, size.height, 0)
        latent: Any = (size.channels, size.height // size.factor, size.width // size.factor)
        masked_latent: Tensor | None = None
        pixels: list[Tensor] = []
        latents: list[Tensor] = []
        loras: list[AppliedLoras] = []
        evaluations = 0
        parts = [numbers[at : at + _ROWS_PER_CALL] for at in range(0, len(numbers), _ROWS_PER_CALL)]
        for part, pictures in enumerate(parts):
            self._report("encode")
            with _stage("encoding the prompts"):
                await self._encode_texts(pictures, result.workflow_id)
            if part == 0 and start is not None:
                with _stage("encoding the starting picture"):
                    latent = await self._encode_picture(start.pixels(size), result.workflow_id)
                    if start.mask is not None and takes_masked_picture(workflow):
                        masked_latent = await self._encode_picture(
                            start.masked_pixels(size), result.workflow_id
                        )
            self._report("sample")
            rows = [self._row(picture, latent, start, masked_latent, size) for picture in pictures]
            with _stage("sampling"):
                sampled = await self._calls.sample_rows(
                    rows,
                    self._run,
                    workflow_id=result.workflow_id,
                    lora_application=self._wanted.lora_application,
                    on_progress=functools.partial(self._on_step, part, len(parts)),
                    **self._preview,
                    **self._limits.options(),
                )
            evaluations += sampled.evaluations
            self._warn(sampled.warnings)
            loras += sampled.loras or [AppliedLoras("auto")] * len(rows)
            latents += sampled.latents
            self._report("decode")
            with _stage("decoding"):
                pixels += await self._decode(sampled.latents, result.workflow_id)
        self._report("done")
        if all(each == AppliedLoras("auto") for each in loras):
            loras = []
        return dataclasses.replace(
            result,
            pictures=join(pixels),
            latents=join([each[None] for each in latents]),
            evaluations=evaluations,
            loras=loras,
            warnings=self._warnings,
        )

    async def _workflow(
        self,
        models: Models | None,
        workflow_id: str | None,
        precision: Mapping[str, Precision] | None,
    ) -> workflow_pb2.Workflow:
        timeout = self._limits.options()["timeout"]
        if models is not None:
            return await self._calls.register_workflow(
                models, precision=precision, ttl=_WORKFLOW_TTL_SECONDS, timeout=timeout
            )
        for workflow in await self._calls.list_workflows(timeout=timeout):
            if workflow.workflow_id == workflow_id:
                return workflow
        return workflow_pb2.Workflow(workflow_id=workflow_id)

    async def _encode_texts(self, pictures: list[int], workflow_id: str) -> None:
        """Both prompts for each set of text encoder LoRAs that is new, all at once."""
        wanted = self._wanted
        new = [
            key
            for key in dict.fromkeys(_key(wanted.text_loras(picture)) for picture in pictures)
            if key not in self._encoded
        ]
        sets = {
            _key(wanted.text_loras(picture)): wanted.text_loras(picture) for picture in pictures
        }
        texts = list(dict.fromkeys((wanted.prompt, wanted.negative)))
        encoded = await self._together(
            [
                self._calls.clip_encode(
                    text,
                    workflow_id=workflow_id,
                    clip_skip=wanted.clip_skip,
                    loras=sets[key],
                    **self._limits.options(),
                )
                for key in new
                for text in texts
            ]
        )
        for index, key in enumerate(new):
            made = encoded[index * len(texts) : (index + 1) * len(texts)]
            self._encoded[key] = (made[0], made[-1])
        for conditioning in encoded:
            self._warn(conditioning.warnings)

    async def _encode_picture(self, pixels: TensorInput, workflow_id: str) -> Tensor:
        """[C, h, w]"""
        return (
            await self._calls.vae_encode(pixels, workflow_id=workflow_id, **self._limits.options())
        )[0]

    def _row(
        self,
        picture: int,
        latent: Any,
        start: StartingPicture | None,
        masked_latent: Tensor | None,
        size: PictureSize,
    ) -> Row:
        wanted = self._wanted
        positive, negative = self._encoded[_key(wanted.text_loras(picture))]
        mask = start.noise_mask(size, masked_latent is not None) if start is not None else None
        if (
            masked_latent is not None
        ):  # its mask is the row's own, which counts where an entry has none
            positive, negative = (
                _with_masked(positive, masked_latent),
                _with_masked(negative, masked_latent),
            )
        return Row(
            latent,
            positive,
            negative,
            Noise(wanted.seed, wanted.batch, picture),
            wanted.cfg,
            mask,
            wanted.loras[picture],
        )

    async def _decode(self, latents: list[Tensor], workflow_id: str) -> list[Tensor]:
        """A few rows at a time, so that a large batch does not fill the server's queue. [1, H,
        W, 3] each."""
        pixels: list[Tensor] = []
        for at in range(0, len(latents), _DECODES_IN_FLIGHT):
            pixels += await self._together(
                [
                    self._calls.vae_decode(
                        latent[None], workflow_id=workflow_id, as_u8=True, **self._limits.options()
                    )
                    for latent in latents[at : at + _DECODES_IN_FLIGHT]
                ]
            )
            self._report(
                "decode",
                pictures=self._progress.pictures + len(latents[at : at + _DECODES_IN_FLIGHT]),
            )
        return pixels

    async def _together(self, calls: list[Coroutine[Any, Any, Any]]) -> list[Any]:
        return await self._calls.together(calls, self._limits.cancel)

    def _warn(self, warnings: Sequence[str]) -> None:
        self._warnings += [each for each in dict.fromkeys(warnings) if each not in self._warnings]

    def _report(self, stage: Stage, **changes: Any) -> None:
        self._progress = dataclasses.replace(self._progress, stage=stage, sampling=None, **changes)
        if self._on_progress:
            self._on_progress(self._progress)

    def _on_step(self, part: int, parts: int, step: Progress) -> None:
        self._progress = dataclasses.replace(
            self._progress,
            step=part * step.steps + step.step,
            steps=parts * step.steps,
            sampling=step,
        )
        if self._on_progress:
            self._on_progress(self._progress)


@contextlib.contextmanager
def _stage(name: str) -> Iterator[None]:
    """Luna's errors say in which stage they came."""
    try:
        yield
    except LunaError as error:
        error.add_context(name)
        raise


def _key(loras: tuple[Lora, ...]) -> Any:
    """Equal for equal sets."""
    return tuple(
        (lora.file, lora.clip_strength, tuple(sorted(lora.blocks.items()))) for lora in loras
    )


def _with_masked(conditioning: Conditioning, latent: Tensor) -> Conditioning:
    return Conditioning(
        [
            dataclasses.replace(entry, extras={**entry.extras, "concat_latent_image": latent})
            for entry in conditioning
        ]
    )


def takes_masked_picture(workflow: workflow_pb2.Workflow) -> bool:
    """Whether its UNet is one for inpainting."""
    return any(each.slot == models_pb2.SLOT_UNET and each.inpaint for each in workflow.components)
