"""A LoRA file of this machine, by its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from luna_client.errors import InvalidRequest, NotFound

_MAX_HEADER_BYTES = 100 << 20


@dataclass(frozen=True)
class LoraFile:
    """A safetensors file's header."""

    path: Path
    bytes: int
    #: Name -> (element type as the file calls it, "F16", and shape).
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    #: What stands in "__metadata__" (kohya's ss_*, modelspec.*).
    metadata: Mapping[str, str]

    @property
    def touches_text_encoder(self) -> bool:
        """Whether clip_strength matters."""
        return any(
            name.startswith(("lora_te", "text_encoder", "lora_prior_te")) or ".text_encoder" in name
            for name in self.tensors
        )


def read_lora_file(path: Path) -> LoraFile:
    """NotFound, or InvalidRequest for a file that is no safetensors."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
                raise InvalidRequest(
                    f"{path}: expected a safetensors file, found a header of {length} bytes in a "
                    f"file of {size}"
                )
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = {
            name: (str(about["dtype"]), tuple(int(axis) for axis in about["shape"]))
            for name, about in header.items()
        }
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read ({error.strerror}); expected a LoRA file of this machine"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InvalidRequest):
            raise
        raise InvalidRequest(
            f"{path}: expected a safetensors file, its header cannot be read ({error})"
        ) from error
    return LoraFile(path, size, tensors, metadata)
