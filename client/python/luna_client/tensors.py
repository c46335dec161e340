"""numpy arrays and torch tensors as bytes, and back. torch is looked at only where the program
has imported it, or asked for it."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from luna_client.errors import InvalidRequest
from luna_client.options import TensorKind
from luna_client.resident import ResidentTensor


class HostTensor(Protocol):
    """A numpy array or a torch tensor."""

    @property
    def shape(self) -> Any: ...

    @property
    def dtype(self) -> Any: ...


#: What calls take.
TensorInput: TypeAlias = HostTensor | ResidentTensor
#: What calls give: a numpy array (read-only), a torch tensor, or under `keep` a ResidentTensor.
Tensor: TypeAlias = Any

#: Names of element types by their number on the wire (proto/luna/v1/tensor.proto).
DTYPES = (
    "f32",
    "f16",
    "bf16",
    "f64",
    "i64",
    "i32",
    "i16",
    "i8",
    "u8",
    "bool",
    "f8_e4m3",
    "f8_e5m2",
)
_SIZES = dict(zip(DTYPES, (4, 2, 2, 8, 8, 4, 2, 1, 1, 1, 1, 1), strict=True))
_NUMPY = {
    "f32": "<f4",
    "f16": "<f2",
    "f64": "<f8",
    "i64": "<i8",
    "i32": "<i4",
    "i16": "<i2",
    "i8": "i1",
    "u8": "u1",
    "bool": "?",
}
_OF_NUMPY = {np.dtype(code): name for name, code in _NUMPY.items()}
_TORCH = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "f64": "float64",
    "i64": "int64",
    "i32": "int32",
    "i16": "int16",
    "i8": "int8",
    "u8": "uint8",
    "bool": "bool",
    "f8_e4m3": "float8_e4m3fn",
    "f8_e5m2": "float8_e5m2",
}
_OF_TORCH = {f"torch.{theirs}": name for name, theirs in _TORCH.items()}
_MAX_AXES = 8


@dataclass(frozen=True)
class Form:
    """The kind of array that a call gives back, and of torch tensors their device."""

    kind: TensorKind
    device: str = "cpu"


@dataclass(frozen=True)
class HostBytes:
    """A tensor's bytes in memory, row-major, little-endian. `data` (u8, one axis) keeps them
    alive."""

    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray[Any, np.dtype[np.uint8]]

    @property
    def address(self) -> int:
        return int(self.data.ctypes.data)


def byte_size(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of a contiguous tensor."""
    if dtype not in _SIZES:
        raise InvalidRequest(f"element type '{dtype}': expected one of {', '.join(DTYPES)}")
    return _SIZES[dtype] * math.prod(shape)


def is_torch(tensor: object) -> bool:
    """Whether it is a torch tensor; torch is not imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, getattr(torch, "Tensor", ()))


def form_of(tensor: object) -> Form | None:
    """What a call with this tensor gives back; None: says nothing (a resident tensor)."""
    if is_torch(tensor):
        return Form("torch", str(getattr(tensor, "device", "cpu")))
    return Form("numpy") if isinstance(tensor, np.ndarray) else None


def host_bytes(tensor: object, name: str) -> HostBytes:
    """Its bytes: of a contiguous array on the host the array's own, else a copy."""
    if is_torch(tensor):
        values: Any = tensor
        dtype = _OF_TORCH.get(str(values.dtype))
        shape = tuple(int(axis) for axis in values.shape)
        _check(dtype, shape, name, values.dtype)
        torch: Any = sys.modules["torch"]
        data = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    else:
        if not isinstance(tensor, np.ndarray):
            raise InvalidRequest(
                f"{name}: expected a numpy array, a torch tensor or a resident tensor, found "
                f"{type(tensor).__name__}"
            )
        dtype = _OF_NUMPY.get(tensor.dtype.newbyteorder("<"))
        shape = tensor.shape
        _check(dtype, shape, name, tensor.dtype)
        ordered = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))
        data = ordered.reshape(-1).view(np.uint8)
    return HostBytes(str(dtype), shape, data)


def _check(dtype: str | None, shape: Sequence[int], name: str, found: object) -> None:
    if dtype is None:
        raise InvalidRequest(f"{name}: element type {found} does not travel; convert it to float32")
    if len(shape) > _MAX_AXES:
        raise InvalidRequest(f"{name}: at most {_MAX_AXES} axes travel, found {len(shape)}")


def from_bytes(dtype: str, shape: Sequence[int], data: Any, form: Form) -> Tensor:
    """The tensor over `data` (any buffer), which it keeps alive. numpy: read-only. torch:
    writable, copied once where the buffer is not."""
    if len(memoryview(data).cast("B")) != byte_size(dtype, shape):
        raise InvalidRequest(
            f"{dtype}{list(shape)} has {byte_size(dtype, shape)} bytes, found "
            f"{len(memoryview(data).cast('B'))}"
        )
    if form.kind == "numpy":
        if dtype not in _NUMPY:
            raise InvalidRequest(f"numpy has no {dtype}; ask for torch tensors")
        array = np.frombuffer(data, dtype=_NUMPY[dtype]).reshape(tuple(shape))
        array.flags.writeable = False
        return array
    torch = import_torch()
    if memoryview(data).readonly:
        data = bytearray(data)
    if math.prod(shape) == 0:
        return torch.empty(tuple(shape), dtype=getattr(torch, _TORCH[dtype]), device=form.device)
    flat = torch.frombuffer(data, dtype=getattr(torch, _TORCH[dtype]))
    return flat.reshape(tuple(shape)).to(form.device)


def empty_over(dtype: str, shape: Sequence[int], data: Any, kind: TensorKind) -> Tensor:
    """A writable array over writable memory."""
    if kind == "torch":
        return from_bytes(dtype, shape, data, Form("torch"))
    if dtype not in _NUMPY:
        raise InvalidRequest(f"numpy has no {dtype}; ask for torch tensors")
    return np.frombuffer(data, dtype=_NUMPY[dtype]).reshape(tuple(shape))


def import_torch() -> Any:
    """torch, or a sentence about its absence."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise InvalidRequest(
            f"torch tensors were asked for, and torch cannot be imported ({error}); install it, or "
            'connect with tensors="numpy"'
        ) from error


def shape_of(tensor: TensorInput | Sequence[int]) -> tuple[int, ...]:
    """Of a tensor, or the tuple itself (an empty latent)."""
    axes = tensor if isinstance(tensor, (tuple, list)) else getattr(tensor, "shape", None)
    if axes is None:
        raise InvalidRequest(f"expected a tensor or a shape, found {type(tensor).__name__}")
    return tuple(int(axis) for axis in axes)


def row_of(tensor: TensorInput, index: int, rows: int) -> TensorInput:
    """Row `index` of a batch. A resident tensor has only one row to give: the server does not
    cut."""
    if not isinstance(tensor, ResidentTensor):
        view: Any = tensor
        row: TensorInput = view[index]
        return row
    if rows != 1:
        raise InvalidRequest(
            f"a resident batch of {rows} rows cannot be cut; keep each row as a tensor of its own"
        )
    return tensor.reshape(*tensor.shape[1:])


def stack(rows: Sequence[Tensor]) -> Tensor:
    """[C, h, w] tensors as one [B, C, h, w]; one alone is not copied."""
    if len(rows) == 1:
        row = rows[0]
        return row.reshape(1, *row.shape)
    if any(isinstance(row, ResidentTensor) for row in rows):
        raise InvalidRequest("resident tensors stay apart: use each of .latents or .denoised")
    if is_torch(rows[0]):
        return import_torch().stack(list(rows))
    return np.stack(rows)


def join(batches: Sequence[Tensor]) -> Tensor:
    """[n, ...] tensors one behind the other; one alone is not copied."""
    if len(batches) == 1:
        return batches[0]
    return import_torch().cat(list(batches)) if is_torch(batches[0]) else np.concatenate(batches)


def like(model: object, array: np.ndarray[Any, Any]) -> Tensor:
    """The array in the kind (and on the device) of `model`."""
    if not is_torch(model):
        return array
    return import_torch().from_numpy(array).to(getattr(model, "device", "cpu"))
