"""Model files as a client names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["auto", "f32", "bf16", "f16"]


@dataclass(frozen=True)
class ModelRef:
    """A model file: relative to its kind's folder below a model root ("v1-5.safetensors"), or
    absolute. A safetensors file, a shard index, or a diffusers folder (docs/models.md)."""

    file: str
    precision: Precision = "auto"


#: What goes into a workflow: slot -> file. Slots: "checkpoint" (fills every slot that it has a
#: component for; the others win over it), "unet", "vae", "clip_l", "clip_g", "t5", "llm", "vision",
#: "upscale", "preview". A lone string is a checkpoint.
Models: TypeAlias = str | ModelRef | Mapping[str, str | ModelRef]
