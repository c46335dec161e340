"""What stands in a model file, without its weights: names, shapes and types as tensors that take no
memory."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
# luna.v1.DType, by number.
_WIRE_TYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
_MAX_HEADER = 100 << 20
# Settings of a sampler stand in a file as single numbers, and ComfyUI's detection reads them.
_VALUE_BYTES = 64

StateDict = dict[str, torch.Tensor]


class UnreadableHeader(ValueError):
    """Not a safetensors file, or a broken one; the text names the file."""


def meta_tensor(shape: Iterable[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(tuple(shape), dtype=dtype, device="meta")


def from_header(path: str | Path) -> tuple[StateDict, dict[str, str]]:
    """(tensors, metadata) of a safetensors file. Tensors of a few bytes come with their values, all
    others on "meta"."""
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= _MAX_HEADER:
            raise UnreadableHeader(
                f"{path}: expected a safetensors file, whose first 8 bytes say how long its header "
                f"is; found {length}"
            )
        try:
            header = json.loads(file.read(length))
        except ValueError as broken:
            raise UnreadableHeader(
                f"{path}: the safetensors header is not JSON ({broken})"
            ) from None
        metadata = header.pop("__metadata__", {})
        tensors = {}
        for name, entry in header.items():
            if entry["dtype"] not in _TYPES:
                raise UnreadableHeader(
                    f"{path}: tensor '{name}' has the unknown type '{entry['dtype']}'"
                )
            dtype, (begin, end) = _TYPES[entry["dtype"]], entry["data_offsets"]
            if 0 < end - begin <= _VALUE_BYTES:
                file.seek(8 + length + begin)
                tensors[name] = torch.frombuffer(
                    bytearray(file.read(end - begin)), dtype=dtype
                ).reshape(entry["shape"])
            else:
                tensors[name] = meta_tensor(entry["shape"], dtype)
    return tensors, metadata


def from_inspection(tensors: Iterable[Any]) -> StateDict:
    """As the daemon's Models.Inspect names them (luna.v1.NamedTensor)."""
    return {
        tensor.name: meta_tensor(tensor.spec.shape, _WIRE_TYPES[tensor.spec.dtype])
        for tensor in tensors
    }
