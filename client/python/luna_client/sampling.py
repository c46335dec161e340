"""A sampling as data: rows, sampler runs, LoRA sets, progress and results. Names and defaults
are ComfyUI's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from luna_client.conditioning import ConditioningLike
    from luna_client.tensors import TensorInput

LoraApplication: TypeAlias = Literal["auto", "merged", "row_wise"]


@dataclass(frozen=True)
class Lora:
    """One adapter of a set; sets apply in their order."""

    #: As below loras/, absolute, or what `luna.loras.upload()` gave ("sha256:...").
    file: str
    strength: float = 1.0
    #: None: `strength`.
    clip_strength: float | None = None
    #: Factors of both strengths for parts of a model, by where a layer's name begins
    #: ("input_blocks.4"); the longest that fits counts.
    blocks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SamplerRun:
    """A sampler and its sigmas, the same for all rows of a call."""

    sampler: str = "euler"
    scheduler: str = "normal"
    steps: int = 20
    #: Below 1: only the last part of a longer schedule.
    denoise: float = 1.0
    #: Descending; when given, these replace scheduler, steps and denoise.
    sigmas: Sequence[float] | None = None
    #: KSamplerAdvanced's window over the schedule.
    start_step: int | None = None
    end_step: int | None = None
    #: With `end_step`: the last sigma becomes 0.
    force_full_denoise: bool = True
    #: eta, s_noise, ...; one that the sampler does not take is refused by name.
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Noise:
    """A row's noise: row `batch_index` of what ComfyUI draws with `seed` for a latent batch of
    `batch_size`."""

    seed: int = 0
    batch_size: int = 1
    batch_index: int = 0
    #: False: start from the latent alone.
    add: bool = True
    #: [C, h, w]; replaces the initial draw (noise of later steps still follows the seed).
    tensor: TensorInput | None = None


@dataclass(frozen=True)
class Row:
    """One picture's trajectory; it sees nothing of the other rows of its call."""

    #: [C, h, w] in the scale of a ComfyUI LATENT, or a shape: an empty latent.
    latent: TensorInput | tuple[int, int, int]
    positive: ConditioningLike
    negative: ConditioningLike | None = None
    noise: Noise = Noise()
    cfg: float = 7.0
    #: [1, H, W] or [H, W] in 0..1, of any size; 1 is repainted.
    noise_mask: TensorInput | None = None
    loras: Sequence[Lora] = ()
    #: Conditioning sets beside positive and negative, for guiders that take such.
    conditioning: Mapping[str, ConditioningLike] = field(default_factory=dict)
    extras: Mapping[str, TensorInput] = field(default_factory=dict)
    guidance_options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DenoiseRow:
    """One model evaluation of one row."""

    #: [C, h, w], the sampler's state (not preconditioned).
    x: TensorInput
    sigma: float
    #: Exactly one entry.
    conditioning: ConditioningLike
    #: "y" [1, width] and "c_concat" [1, c, h, w] in the model's scale; each counts instead of what
    #: the conditioning would give.
    extras: Mapping[str, TensorInput] = field(default_factory=dict)
    loras: Sequence[Lora] = ()


@dataclass(frozen=True)
class Progress:
    """After each step of a sampling."""

    step: int
    steps: int
    #: Of the step just finished.
    sigma: float
    #: Rows of the forward that served it, those of other clients included.
    rows_in_batch: int
    #: u8 [rows, H, W, 3], when previews were asked for and this step has one.
    preview: Any | None = None


#: Called in the thread that made the call (in the event loop of an async client). What it raises
#: ends the call, on the server too, and comes out of it.
OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class AppliedLoras:
    """What became of a row's LoRA set."""

    application: LoraApplication
    #: Why it is merged though row-wise was asked for or would have been chosen.
    reason: str = ""


@dataclass(frozen=True)
class SampleResult:
    """Finished trajectories."""

    #: [C, h, w] f32 a row, in the scale of a ComfyUI LATENT; resident tensors under `keep`.
    latents: list[Any]
    #: Those that were used.
    sigmas: list[float]
    #: Rows evaluated by the model, both signs of CFG counted.
    evaluations: int
    #: One a row; none when no row has LoRAs.
    loras: list[AppliedLoras] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: The plane by which each latent came: "shm", "inline", "resident" ...
    planes: list[str] = field(default_factory=list)

    @property
    def latent(self) -> Any:
        """All rows as one [B, C, h, w]; of one row without a copy."""
        from luna_client.tensors import stack

        return stack(self.latents)


@dataclass(frozen=True)
class DenoiseResult:
    """One evaluation of each row."""

    #: x0 of each row, [C, h, w] f32, no guidance.
    denoised: list[Any]
    loras: list[AppliedLoras] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    planes: list[str] = field(default_factory=list)

    @property
    def batch(self) -> Any:
        """All rows as one [B, C, h, w]; of one row without a copy."""
        from luna_client.tensors import stack

        return stack(self.denoised)
