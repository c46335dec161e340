"""Samplings and evaluations as messages of the wire, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from luna_client.calls.model_requests import one_of
from luna_client.conditioning import ConditioningEntry, ConditioningLike, entries_of
from luna_client.errors import InvalidRequest
from luna_client.planes.outgoing import Outgoing, set_spec
from luna_client.resident import ResidentTensor
from luna_client.sampling import (
    AppliedLoras,
    DenoiseRow,
    Lora,
    LoraApplication,
    Noise,
    Row,
    SamplerRun,
)
from luna_client.tensors import Tensor, TensorInput, row_of, shape_of
from luna_client.v1 import primitives_pb2, sampling_pb2

_MAX_VAE_FACTOR = 16
_APPLICATIONS: tuple[LoraApplication, ...] = ("auto", "merged", "row_wise")


def tile_to_wire(tile: int, overlap: int) -> primitives_pb2.TileOptions:
    """Tiles in pixels."""
    if tile < 0 or overlap < 0:
        raise InvalidRequest(f"tile {tile}, overlap {overlap}: expected pixels, 0 or more")
    return primitives_pb2.TileOptions(size=tile, overlap=overlap)


def loras_to_wire(loras: Sequence[Lora]) -> list[sampling_pb2.LoraRef]:
    """A set, in its order."""
    wire = []
    for lora in loras:
        if not isinstance(lora, Lora):
            raise InvalidRequest(f"loras: expected Lora objects, found {type(lora).__name__}")
        wire.append(
            sampling_pb2.LoraRef(
                file=lora.file,
                model_strength=lora.strength,
                clip_strength=lora.clip_strength,
                block_strengths=dict(lora.blocks),
            )
        )
    return wire


def applied_from_wire(wire: Iterable[sampling_pb2.AppliedLoras]) -> list[AppliedLoras]:
    """What became of the rows' sets."""
    return [AppliedLoras(_APPLICATIONS[each.application], each.reason) for each in wire]


def application_to_wire(application: LoraApplication) -> str:
    """ "row_wise" as the wire has it."""
    return f"LORA_APPLICATION_{one_of('lora_application', application, _APPLICATIONS).upper()}"


def element_count(tensor: TensorInput | Sequence[int]) -> int:
    """Of a tensor or shape; 0 for what has neither."""
    count = 1
    for axis in getattr(tensor, "shape", tensor if isinstance(tensor, (tuple, list)) else (0,)):
        count *= int(axis)
    return count


def pixel_bytes_bound(latent: TensorInput, as_u8: bool) -> int:
    """At most so many bytes have the pixels of a latent [B, C, h, w]."""
    shape = shape_of(latent)
    if len(shape) != 4:
        return 0
    return shape[0] * shape[2] * shape[3] * _MAX_VAE_FACTOR**2 * 3 * (1 if as_u8 else 4)


def conditioning_to_wire(
    entry: ConditioningEntry, wire: sampling_pb2.ConditioningEntry, outgoing: Outgoing, name: str
) -> None:
    """One entry, into `wire`."""
    outgoing.add(wire.cross_attn, entry.cross_attn, f"{name}.cross_attn")
    for field in ("pooled", "attention_mask", "mask"):
        if (tensor := getattr(entry, field)) is not None:
            outgoing.add(getattr(wire, field), tensor, f"{name}.{field}")
    for field in ("strength", "mask_strength", "start_percent", "end_percent", "guidance"):
        if (value := getattr(entry, field)) is not None:
            setattr(wire, field, value)
    wire.set_area_to_bounds = entry.set_area_to_bounds
    wire.is_default = entry.is_default
    if entry.area is not None:
        wire.area.CopyFrom(sampling_pb2.ConditioningArea(**dataclasses.asdict(entry.area)))
    for key, number in entry.numbers.items():
        wire.numbers[key] = number
    for key, tensor in entry.extras.items():
        outgoing.add(wire.extras[key], tensor, f"{name}.{key}")


def _latent_to_wire(
    latent: TensorInput | Sequence[int], row: sampling_pb2.SampleRow, outgoing: Outgoing, name: str
) -> None:
    if isinstance(latent, (tuple, list)):
        set_spec(row.latent, "f32", tuple(latent))
    else:
        outgoing.add(row.latent, latent, name)


def sample_to_wire(
    rows: Sequence[Row],
    run: SamplerRun,
    outgoing: Outgoing,
    *,
    keep: bool,
    application: LoraApplication,
    preview_every: int,
    preview_edge: int,
) -> sampling_pb2.SampleRequest:
    """A sampling."""
    request = sampling_pb2.SampleRequest(
        run=sampling_pb2.SamplerRun(
            sampler=run.sampler,
            scheduler=run.scheduler,
            steps=run.steps,
            denoise=run.denoise,
            sigmas=[float(sigma) for sigma in run.sigmas] if run.sigmas is not None else [],
            start_step=run.start_step,
            end_step=run.end_step,
            force_full_denoise=run.force_full_denoise,
            options=dict(run.options),
        ),
        previews=sampling_pb2.PreviewOptions(every_steps=preview_every, max_edge=preview_edge),
        keep=keep,
        lora_application=application_to_wire(application),
    )
    for index, row in enumerate(rows):
        name = f"rows[{index}]"
        wire = request.rows.add(
            loras=loras_to_wire(row.loras),
            guidance=sampling_pb2.Guidance(cfg=row.cfg, options=dict(row.guidance_options)),
        )
        _latent_to_wire(row.latent, wire, outgoing, f"{name}.latent")
        if row.noise_mask is not None:
            outgoing.add(wire.noise_mask, row.noise_mask, f"{name}.noise_mask")
        wire.noise.CopyFrom(
            sampling_pb2.Noise(
                seed=row.noise.seed,
                batch_size=row.noise.batch_size,
                batch_index=row.noise.batch_index,
                disable=not row.noise.add,
            )
        )
        if row.noise.tensor is not None:
            outgoing.add(wire.noise.tensor, row.noise.tensor, f"{name}.noise")
        sets = {"positive": row.positive, **row.conditioning}
        if row.negative is not None:
            sets["negative"] = row.negative
        for key, conditioning in sets.items():
            listed = wire.conditioning[key]
            for place, entry in enumerate(entries_of(conditioning)):
                conditioning_to_wire(
                    entry, listed.entries.add(), outgoing, f"{name}.{key}[{place}]"
                )
        for key, tensor in row.extras.items():
            outgoing.add(wire.extras[key], tensor, f"{name}.{key}")
    return request


def rows_of_batch(
    latent: TensorInput | tuple[int, ...],
    positive: ConditioningLike,
    negative: ConditioningLike | None,
    *,
    seed: int,
    add_noise: bool,
    noise: TensorInput | None,
    noise_mask: TensorInput | None,
    cfg: float,
    loras: Sequence[Lora],
) -> list[Row]:
    """KSampler's latent batch as rows. Masks [N, 1, H, W] or [N, H, W] repeat over the batch as
    ComfyUI's do."""
    shape = shape_of(latent)
    if isinstance(latent, tuple) and len(shape) == 3:
        shape = (1, *shape)
    if len(shape) != 4:
        raise InvalidRequest(f"latent: expected [B, C, h, w], found {list(shape)}")
    count = shape[0]
    if noise is not None and shape_of(noise)[0] != count:
        raise InvalidRequest(
            f"noise: expected {count} rows as the latent, found {shape_of(noise)[0]}"
        )
    rows = []
    for index in range(count):
        row = shape[1:] if isinstance(latent, tuple) else row_of(latent, index, count)
        tensor = row_of(noise, index, count) if noise is not None else None
        rows.append(
            Row(
                row if not isinstance(row, tuple) else (shape[1], shape[2], shape[3]),
                positive,
                negative,
                Noise(seed, count, index, add_noise, tensor),
                cfg,
                _mask_of(noise_mask, index),
                loras,
            )
        )
    return rows


def _mask_of(mask: TensorInput | None, index: int) -> TensorInput | None:
    """[1, H, W] of row `index`."""
    if mask is None or isinstance(mask, ResidentTensor):
        return mask
    shape = shape_of(mask)
    if len(shape) == 2:
        return mask
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] != 1) or shape[0] == 0:
        raise InvalidRequest(
            f"noise_mask: expected [H, W], [N, H, W] or [N, 1, H, W], found {list(shape)}"
        )
    array: Any = mask
    row: TensorInput = array[index % shape[0]] if len(shape) == 4 else array[index % shape[0]][None]
    return row


def denoise_rows_of_batch(
    x: TensorInput,
    sigma: float | Sequence[float] | Tensor,
    conditioning: ConditioningLike,
    *,
    y: TensorInput | None,
    c_concat: TensorInput | None,
    loras: Sequence[Lora],
) -> list[DenoiseRow]:
    """apply_model's batch as rows."""
    shape = shape_of(x)
    if len(shape) != 4:
        raise InvalidRequest(f"x: expected [B, C, h, w], found {list(shape)}")
    count = shape[0]
    sigmas = np.atleast_1d(np.asarray(sigma, dtype=np.float64)).ravel()
    entries = entries_of(conditioning)
    for name, found in (("sigma", len(sigmas)), ("conditioning", len(entries))):
        if found not in (1, count):
            raise InvalidRequest(
                f"{name}: expected one for all, or one for each of {count} rows, found {found}"
            )

    def extra_of(tensor: TensorInput, index: int) -> TensorInput:
        rows = shape_of(tensor)[0]
        if isinstance(tensor, ResidentTensor) or rows == 1:
            return tensor
        array: Any = tensor
        part: TensorInput = array[index : index + 1]
        return part

    rows = []
    for index in range(count):
        extras = {
            key: extra_of(tensor, index)
            for key, tensor in (("y", y), ("c_concat", c_concat))
            if tensor is not None
        }
        rows.append(
            DenoiseRow(
                row_of(x, index, count),
                float(sigmas[index % len(sigmas)]),
                entries[index % len(entries)],
                extras,
                loras,
            )
        )
    return rows


def denoise_to_wire(
    rows: Sequence[DenoiseRow], outgoing: Outgoing, *, keep: bool, application: LoraApplication
) -> sampling_pb2.DenoiseRequest:
    """Single evaluations."""
    request = sampling_pb2.DenoiseRequest(
        keep=keep, lora_application=application_to_wire(application)
    )
    for index, row in enumerate(rows):
        name = f"rows[{index}]"
        wire = request.rows.add(sigma=row.sigma, loras=loras_to_wire(row.loras))
        outgoing.add(wire.x, row.x, f"{name}.x")
        entries = entries_of(row.conditioning)
        if len(entries) != 1:
            raise InvalidRequest(
                f"{name}.conditioning: one evaluation takes one entry, found {len(entries)}"
            )
        conditioning_to_wire(entries[0], wire.conditioning, outgoing, f"{name}.conditioning")
        for key, tensor in row.extras.items():
            outgoing.add(wire.extras[key], tensor, f"{name}.{key}")
    return request
