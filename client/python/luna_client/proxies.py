"""What a loader gives out: model, clip and vae of a workflow, as objects of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from luna_client.blocking import blocking
from luna_client.conditioning import Conditioning, ConditioningLike
from luna_client.options import Cancel, Priority
from luna_client.sampling import (
    DenoiseResult,
    Lora,
    LoraApplication,
    OnProgress,
    Row,
    SampleResult,
    SamplerRun,
)
from luna_client.tensors import Tensor, TensorInput

if TYPE_CHECKING:
    from luna_client.calls import Calls
    from luna_client.calls.text_requests import Tokens


@dataclass(frozen=True)
class AsyncModelProxy:
    """The UNet of a workflow; the calls are Luna's of the same name, with its LoRAs."""

    calls: Calls
    workflow_id: str
    loras: tuple[Lora, ...] = ()

    def with_loras(self, *loras: Lora) -> AsyncModelProxy:
        """The same model with these after the ones that it has. Costs nothing."""
        return dataclasses.replace(self, loras=(*self.loras, *loras))

    async def sample(
        self,
        latent: TensorInput | tuple[int, ...],
        positive: ConditioningLike,
        negative: ConditioningLike | None = None,
        *,
        seed: int = 0,
        steps: int = 20,
        cfg: float = 7.0,
        sampler: str = "euler",
        scheduler: str = "normal",
        denoise: float = 1.0,
        sigmas: Sequence[float] | None = None,
        start_step: int | None = None,
        end_step: int | None = None,
        force_full_denoise: bool = True,
        add_noise: bool = True,
        noise: TensorInput | None = None,
        noise_mask: TensorInput | None = None,
        sampler_options: Mapping[str, float] | None = None,
        preview_every: int = 0,
        preview_edge: int = 512,
        on_progress: OnProgress | None = None,
        keep: bool = False,
        lora_application: LoraApplication = "auto",
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> SampleResult:
        """As Luna.sample()."""
        return await self.calls.sample(
            latent,
            positive,
            negative,
            workflow_id=self.workflow_id,
            loras=self.loras,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler=sampler,
            scheduler=scheduler,
            denoise=denoise,
            sigmas=sigmas,
            start_step=start_step,
            end_step=end_step,
            force_full_denoise=force_full_denoise,
            add_noise=add_noise,
            noise=noise,
            noise_mask=noise_mask,
            sampler_options=sampler_options,
            preview_every=preview_every,
            preview_edge=preview_edge,
            on_progress=on_progress,
            keep=keep,
            lora_application=lora_application,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )

    async def sample_rows(
        self,
        rows: Sequence[Row],
        run: SamplerRun | None = None,
        *,
        preview_every: int = 0,
        preview_edge: int = 512,
        on_progress: OnProgress | None = None,
        keep: bool = False,
        lora_application: LoraApplication = "auto",
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> SampleResult:
        """As Luna.sample_rows(); the proxy's LoRAs come before each row's own."""
        rows = [dataclasses.replace(row, loras=(*self.loras, *row.loras)) for row in rows]
        return await self.calls.sample_rows(
            rows,
            run,
            workflow_id=self.workflow_id,
            preview_every=preview_every,
            preview_edge=preview_edge,
            on_progress=on_progress,
            keep=keep,
            lora_application=lora_application,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )

    async def denoise(
        self,
        x: TensorInput,
        sigma: float | Sequence[float] | Tensor,
        conditioning: ConditioningLike,
        *,
        y: TensorInput | None = None,
        c_concat: TensorInput | None = None,
        keep: bool = False,
        lora_application: LoraApplication = "auto",
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> DenoiseResult:
        """As Luna.denoise()."""
        return await self.calls.denoise(
            x,
            sigma,
            conditioning,
            workflow_id=self.workflow_id,
            y=y,
            c_concat=c_concat,
            loras=self.loras,
            keep=keep,
            lora_application=lora_application,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )


@dataclass(frozen=True)
class AsyncClipProxy:
    """The text encoders of a workflow."""

    calls: Calls
    workflow_id: str
    loras: tuple[Lora, ...] = ()
    clip_skip: int = 0

    def with_loras(self, *loras: Lora) -> AsyncClipProxy:
        """The same encoders with these after the ones that they have."""
        return dataclasses.replace(self, loras=(*self.loras, *loras))

    def with_clip_skip(self, clip_skip: int) -> AsyncClipProxy:
        """Stops at layer -n, as ComfyUI's CLIPSetLastLayer(-n); 0: the family's default."""
        return dataclasses.replace(self, clip_skip=clip_skip)

    async def tokenize(
        self, text: str, *, timeout: float | None = None
    ) -> dict[str, list[list[tuple[Any, float]]]]:
        """As Luna.tokenize()."""
        return await self.calls.tokenize(text, workflow_id=self.workflow_id, timeout=timeout)

    async def encode(
        self,
        text: str = "",
        *,
        tokens: Tokens | None = None,
        keep: bool = False,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Conditioning:
        """As Luna.clip_encode()."""
        return await self.calls.clip_encode(
            text,
            workflow_id=self.workflow_id,
            tokens=tokens,
            clip_skip=self.clip_skip,
            loras=self.loras,
            keep=keep,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )


@dataclass(frozen=True)
class AsyncVaeProxy:
    """The autoencoder of a workflow."""

    calls: Calls
    workflow_id: str

    async def encode(
        self,
        pixels: TensorInput,
        *,
        tile: int = 0,
        overlap: int = 64,
        keep: bool = False,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Tensor:
        """As Luna.vae_encode()."""
        return await self.calls.vae_encode(
            pixels,
            workflow_id=self.workflow_id,
            tile=tile,
            overlap=overlap,
            keep=keep,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )

    async def decode(
        self,
        latent: TensorInput,
        *,
        as_u8: bool = False,
        tile: int = 0,
        overlap: int = 64,
        keep: bool = False,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Tensor:
        """As Luna.vae_decode()."""
        return await self.calls.vae_decode(
            latent,
            workflow_id=self.workflow_id,
            as_u8=as_u8,
            tile=tile,
            overlap=overlap,
            keep=keep,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )


class AsyncProxies(NamedTuple):
    """model, clip, vae of one workflow."""

    model: AsyncModelProxy
    clip: AsyncClipProxy
    vae: AsyncVaeProxy


class ModelProxy:
    """The UNet of a workflow; the calls are Luna's of the same name, with its LoRAs. Immutable,
    thread-safe, cheap."""

    def __init__(self, calls: AsyncModelProxy) -> None:
        self._calls = calls

    @property
    def workflow_id(self) -> str:
        return self._calls.workflow_id

    @property
    def loras(self) -> tuple[Lora, ...]:
        return self._calls.loras

    def with_loras(self, *loras: Lora) -> ModelProxy:
        """The same model with these after the ones that it has. Costs nothing."""
        return ModelProxy(self._calls.with_loras(*loras))

    sample = blocking(AsyncModelProxy.sample)
    sample_rows = blocking(AsyncModelProxy.sample_rows)
    denoise = blocking(AsyncModelProxy.denoise)


class ClipProxy:
    """The text encoders of a workflow. Immutable, thread-safe, cheap."""

    def __init__(self, calls: AsyncClipProxy) -> None:
        self._calls = calls

    @property
    def workflow_id(self) -> str:
        return self._calls.workflow_id

    @property
    def loras(self) -> tuple[Lora, ...]:
        return self._calls.loras

    @property
    def clip_skip(self) -> int:
        return self._calls.clip_skip

    def with_loras(self, *loras: Lora) -> ClipProxy:
        """The same encoders with these after the ones that they have."""
        return ClipProxy(self._calls.with_loras(*loras))

    def with_clip_skip(self, clip_skip: int) -> ClipProxy:
        """Stops at layer -n, as ComfyUI's CLIPSetLastLayer(-n); 0: the family's default."""
        return ClipProxy(self._calls.with_clip_skip(clip_skip))

    tokenize = blocking(AsyncClipProxy.tokenize)
    encode = blocking(AsyncClipProxy.encode)


class VaeProxy:
    """The autoencoder of a workflow. Thread-safe."""

    def __init__(self, calls: AsyncVaeProxy) -> None:
        self._calls = calls

    @property
    def workflow_id(self) -> str:
        return self._calls.workflow_id

    encode = blocking(AsyncVaeProxy.encode)
    decode = blocking(AsyncVaeProxy.decode)


class Proxies(NamedTuple):
    """model, clip, vae of one workflow."""

    model: ModelProxy
    clip: ClipProxy
    vae: VaeProxy
