"""What a whole generation gives and tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from luna_client.sampling import AppliedLoras, Progress

Stage: TypeAlias = Literal["register", "encode", "sample", "decode", "done"]


@dataclass(frozen=True)
class GenerateProgress:
    """Where a generation is."""

    stage: Stage
    #: Finished steps, and all, over all sample calls.
    step: int = 0
    steps: int = 0
    #: Pictures decoded, and asked for.
    pictures: int = 0
    pictures_wanted: int = 0
    #: Of the sampling; None outside of it.
    sampling: Progress | None = None


OnGenerateProgress: TypeAlias = Callable[[GenerateProgress], None]


@dataclass(frozen=True)
class Generated:
    """A generation's pictures and what they came from."""

    #: u8 [pictures, H, W, 3]
    pictures: Any
    #: f32 [pictures, C, h, w], the scale of a ComfyUI LATENT.
    latents: Any
    #: Of each picture.
    batch_index: list[int]
    workflow_id: str
    width: int
    height: int
    #: Rows that the model evaluated.
    evaluations: int
    loras: list[AppliedLoras] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
