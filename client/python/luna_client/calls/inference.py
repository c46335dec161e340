"""The primitives: text, latents, pixels, trajectories, single evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luna_client.calls import requests, text_requests
from luna_client.calls.caller import Caller
from luna_client.calls.text_requests import Tokens
from luna_client.conditioning import Conditioning, ConditioningEntry, ConditioningLike
from luna_client.errors import InternalError
from luna_client.options import Cancel, Priority
from luna_client.planes.outgoing import Outgoing
from luna_client.rpc import methods
from luna_client.sampling import (
    DenoiseResult,
    DenoiseRow,
    Lora,
    LoraApplication,
    OnProgress,
    Row,
    SampleResult,
    SamplerRun,
)
from luna_client.tensors import Tensor, TensorInput
from luna_client.v1 import primitives_pb2, sampling_pb2


class Inference(Caller):
    """Calls under a workflow. Tensors in are numpy arrays, torch tensors or resident tensors;
    tensors out are of the kind (and on the device) of the tensor that went in, else of connect()'s
    `tensors`.

    Of every call: `timeout` is in seconds and includes uploads; `priority` and `cancel` as their
    types say; an interrupt (Ctrl-C, a cancelled task) ends the work on the server as well.
    """

    async def tokenize(
        self,
        text: str,
        *,
        workflow_id: str,
        timeout: float | None = None,
        priority: Priority | None = None,
    ) -> dict[str, list[list[tuple[Any, float]]]]:
        """ComfyUI's token dictionary: encoder ("l", "g", "t5xxl") -> chunks -> (token, weight).
        A token is an id, or for a textual inversion a float32 array as wide as the encoder."""
        call = self._call(workflow_id, timeout, priority)
        request = primitives_pb2.TokenizeRequest(text=text)
        response = await call.unary(methods.TOKENIZE, request, Outgoing())
        return text_requests.tokens_from_wire(response.chunks)

    async def clip_encode(
        self,
        text: str = "",
        *,
        workflow_id: str,
        tokens: Tokens | None = None,
        clip_skip: int = 0,
        loras: Sequence[Lora] = (),
        keep: bool = False,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Conditioning:
        """Text (ComfyUI's prompt syntax), or tokens as tokenize() gives them, to one entry with
        cross_attn [1, tokens, width] and pooled [1, width], f32. clip_skip: 0 is the family's
        default, n stops at layer -n."""
        call = self._call(workflow_id, timeout, priority, cancel)
        request = primitives_pb2.EncodeTextRequest(
            text=text,
            clip_skip=clip_skip,
            keep=keep,
            tokens=text_requests.tokens_to_wire(tokens or {}),
            loras=requests.loras_to_wire(loras),
        )
        response = await call.unary(methods.ENCODE_TEXT, request, Outgoing())
        context, pooled = await call.take([response.cross_attn, response.pooled])
        entry = ConditioningEntry(context.tensor, pooled.tensor)
        return Conditioning([entry], response.warnings, [context.plane, pooled.plane])

    async def vae_encode(
        self,
        pixels: TensorInput,
        *,
        workflow_id: str,
        tile: int = 0,
        overlap: int = 64,
        keep: bool = False,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Tensor:
        """[B, H, W, 3 or more], f32 in 0..1 or u8, to the posterior's mean [B, C, h, w], f32, as
        a ComfyUI LATENT. Cut to a multiple of the VAE's factor, centred. tile: edge in pixels;
        0: whole pictures, as long as memory allows."""
        call = self._call(workflow_id, timeout, priority, cancel)
        request = primitives_pb2.VaeEncodeRequest(
            tile=requests.tile_to_wire(tile, overlap), keep=keep
        )
        outgoing = Outgoing()
        outgoing.add(request.pixels, pixels, "pixels")
        call.expect_bytes(4 * requests.element_count(pixels))
        response = await call.unary(methods.VAE_ENCODE, request, outgoing)
        return await call.take_one(response.latent)

    async def vae_decode(
        self,
        latent: TensorInput,
        *,
        workflow_id: str,
        as_u8: bool = False,
        tile: int = 0,
        overlap: int = 64,
        keep: bool = False,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Tensor:
        """[B, C, h, w] to pixels [B, H, W, 3], f32 in 0..1, or u8. Tiles in pixels, as
        vae_encode's."""
        call = self._call(workflow_id, timeout, priority, cancel)
        request = primitives_pb2.VaeDecodeRequest(
            tile=requests.tile_to_wire(tile, overlap), as_u8=as_u8, keep=keep
        )
        outgoing = Outgoing()
        outgoing.add(request.latent, latent, "latent")
        call.expect_bytes(requests.pixel_bytes_bound(latent, as_u8))
        response = await call.unary(methods.VAE_DECODE, request, outgoing)
        return await call.take_one(response.pixels)

    async def sample(
        self,
        latent: TensorInput | tuple[int, ...],
        positive: ConditioningLike,
        negative: ConditioningLike | None = None,
        *,
        workflow_id: str,
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
        loras: Sequence[Lora] = (),
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
        """ComfyUI's KSampler for a latent batch [B, C, h, w], or a shape (C, h, w) or (B, C, h,
        w) of an empty one. Noise is drawn for the whole batch from one seed; noise [B, C, h, w]
        replaces the draw. noise_mask as ComfyUI's."""
        rows = requests.rows_of_batch(
            latent,
            positive,
            negative,
            seed=seed,
            add_noise=add_noise,
            noise=noise,
            noise_mask=noise_mask,
            cfg=cfg,
            loras=loras,
        )
        run = SamplerRun(
            sampler,
            scheduler,
            steps,
            denoise,
            sigmas,
            start_step,
            end_step,
            force_full_denoise,
            sampler_options or {},
        )
        return await self.sample_rows(
            rows,
            run,
            workflow_id=workflow_id,
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
        workflow_id: str,
        preview_every: int = 0,
        preview_edge: int = 512,
        on_progress: OnProgress | None = None,
        keep: bool = False,
        lora_application: LoraApplication = "auto",
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> SampleResult:
        """Any rows of one sampler run: each its own latent (of one shape), noise, conditioning,
        LoRAs and guidance. 1 to 64 rows, the server's [limits] rows_per_call."""
        call = self._call(workflow_id, timeout, priority, cancel)
        outgoing = Outgoing()
        request = requests.sample_to_wire(
            rows,
            run or SamplerRun(),
            outgoing,
            keep=keep,
            application=lora_application,
            preview_every=preview_every if on_progress is not None else 0,
            preview_edge=preview_edge,
        )
        call.expect_bytes(4 * sum(requests.element_count(row.latent) for row in rows))
        result: sampling_pb2.SampleResult | None = None
        async for message in call.stream(methods.SAMPLE, request, outgoing):
            if message.HasField("result"):
                result = message.result
            elif on_progress is not None:
                on_progress(await call.progress(message.progress))
        if result is None or len(result.latents) != len(rows):
            raise InternalError(
                f"{len(rows)} latents were asked for, the server sent "
                f"{len(result.latents) if result else 'no result'}"
            )
        taken = await call.take(result.latents)
        return SampleResult(
            [each.tensor for each in taken],
            list(result.sigmas),
            result.evaluations,
            requests.applied_from_wire(result.loras),
            list(result.warnings),
            [each.plane for each in taken],
        )

    async def denoise(
        self,
        x: TensorInput,
        sigma: float | Sequence[float] | Tensor,
        conditioning: ConditioningLike,
        *,
        workflow_id: str,
        y: TensorInput | None = None,
        c_concat: TensorInput | None = None,
        loras: Sequence[Lora] = (),
        keep: bool = False,
        lora_application: LoraApplication = "auto",
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> DenoiseResult:
        """One evaluation of the model at sigma (one for all rows, or one a row), as ComfyUI's
        apply_model: x [B, C, h, w] is the sampler's state, `.batch` of the result x0 of it, no
        guidance. conditioning has one entry for all rows or one a row; y [B or 1, width] and
        c_concat [B or 1, c, h, w] as apply_model's."""
        rows = requests.denoise_rows_of_batch(
            x, sigma, conditioning, y=y, c_concat=c_concat, loras=loras
        )
        return await self.denoise_rows(
            rows,
            workflow_id=workflow_id,
            keep=keep,
            lora_application=lora_application,
            timeout=timeout,
            priority=priority,
            cancel=cancel,
        )

    async def denoise_rows(
        self,
        rows: Sequence[DenoiseRow],
        *,
        workflow_id: str,
        keep: bool = False,
        lora_application: LoraApplication = "auto",
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> DenoiseResult:
        """One evaluation of each row. Goes straight to the worker where the session's planes
        allow it (without `keep`)."""
        call = self._call(workflow_id, timeout, priority, cancel)
        outgoing = Outgoing()
        request = requests.denoise_to_wire(rows, outgoing, keep=keep, application=lora_application)
        call.expect_bytes(4 * sum(requests.element_count(row.x) for row in rows))
        response = await call.denoise(request, outgoing)
        taken = await call.take(response.denoised)
        return DenoiseResult(
            [each.tensor for each in taken],
            requests.applied_from_wire(response.loras),
            list(response.warnings),
            [each.plane for each in taken],
        )
