"""The picture that a generation starts from, its mask, and the size of what is made."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from luna_client.errors import InvalidRequest
from luna_client.resident import ResidentTensor
from luna_client.tensors import Tensor, TensorInput, is_torch, like
from luna_client.v1 import models_pb2

_MAX_EDGE = 65536
_GREY = np.float32(0.5)


@dataclass(frozen=True)
class PictureSize:
    """Pixels, and how a latent of them looks."""

    width: int
    height: int
    channels: int = 4
    factor: int = 8


def _numpy(tensor: TensorInput, name: str) -> np.ndarray[Any, Any]:
    if isinstance(tensor, ResidentTensor):
        raise InvalidRequest(f"{name}: expected pixels of this process, found a resident tensor")
    values: Any = tensor
    array: np.ndarray[Any, Any] = np.asarray(values.detach().cpu() if is_torch(values) else values)
    return array


class StartingPicture:
    """image [H, W, 3] or [1, H, W, 3]; mask [H, W] of the same size."""

    def __init__(self, image: TensorInput, mask: TensorInput | None) -> None:
        pixels = _numpy(image, "image")
        if pixels.ndim == 4 and pixels.shape[0] == 1:
            pixels = pixels[0]
        if pixels.ndim != 3 or pixels.shape[2] < 3 or pixels.dtype not in (np.uint8, np.float32):
            raise InvalidRequest(
                "image: expected [H, W, 3] or [1, H, W, 3], u8 or f32 in 0..1, found "
                f"{pixels.dtype}{list(pixels.shape)}"
            )
        self._image = image
        self._pixels = pixels[..., :3]
        self.mask = self._mask_of(mask) if mask is not None else None

    @property
    def height(self) -> int:
        return int(self._pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self._pixels.shape[1])

    def _mask_of(self, mask: TensorInput) -> np.ndarray[Any, Any]:
        values = _numpy(mask, "mask")
        if values.ndim == 3 and values.shape[0] == 1:
            values = values.reshape(values.shape[1:])
        if values.shape != self._pixels.shape[:2]:
            raise InvalidRequest(
                f"mask: expected [H, W] of the picture, {list(self._pixels.shape[:2])}, found "
                f"{list(values.shape)}"
            )
        if values.dtype == np.uint8:
            values = values / np.float32(255)
        return np.asarray(values, np.float32)

    def _middle(self, plane: np.ndarray[Any, Any], size: PictureSize) -> np.ndarray[Any, Any]:
        top, left = (self.height - size.height) // 2, (self.width - size.width) // 2
        return np.ascontiguousarray(plane[top : top + size.height, left : left + size.width])

    def pixels(self, size: PictureSize) -> Tensor:
        """[1, height, width, 3], the middle of the picture."""
        return like(self._image, self._middle(self._pixels, size)[None])

    def noise_mask(self, size: PictureSize, cut: bool) -> Tensor | None:
        """[1, H, W]; cut: of the size of what is made."""
        if self.mask is None:
            return None
        return (self._middle(self.mask, size) if cut else self.mask)[None]

    def masked_pixels(self, size: PictureSize) -> Tensor:
        """What an inpainting model is shown: grey where the mask repaints (ComfyUI's
        InpaintModelConditioning)."""
        assert self.mask is not None
        pixels = self._middle(self._pixels, size)
        if pixels.dtype == np.uint8:
            pixels = pixels.astype(np.float32) / np.float32(255)
        kept = np.float32(1) - np.rint(self._middle(self.mask, size))
        return like(self._image, ((pixels - _GREY) * kept[..., None] + _GREY)[None])


def _nearest_multiple(value: float, factor: int) -> int:
    return max(factor, math.floor(value / factor + 0.5) * factor)


def _native(components: Iterable[models_pb2.ComponentInfo], factor: int) -> tuple[int, int]:
    """What suits the model."""
    native = (512, 512)
    for component in components:
        if component.slot != models_pb2.SLOT_UNET:
            continue
        if component.native_width > 0 and component.native_height > 0:
            native = (
                _nearest_multiple(component.native_width, factor),
                _nearest_multiple(component.native_height, factor),
            )
        elif component.family.startswith("sdxl"):
            native = (1024, 1024)
        elif component.family.startswith("sd2"):
            native = (768, 768)
    return native


def picture_size(
    width: int | None,
    height: int | None,
    start: StartingPicture | None,
    components: Iterable[models_pb2.ComponentInfo],
) -> PictureSize:
    """As client/pipeline/picture_size.cpp; a starting picture is cut to multiples of the factor,
    never resized."""
    factor = PictureSize.factor
    for name, edge in (("width", width), ("height", height)):
        if edge is None:
            continue
        if edge > _MAX_EDGE:
            raise InvalidRequest(f"{name} {edge}: at most {_MAX_EDGE} pixels are possible")
        if edge < factor or edge % factor:
            raise InvalidRequest(
                f"{name} {edge} must be a multiple of {factor} and at least {factor}; the nearest "
                f"is {_nearest_multiple(edge, factor)}"
            )
    if start is not None:
        cut = (start.width // factor * factor, start.height // factor * factor)
        if min(cut) == 0:
            raise InvalidRequest(
                f"the starting picture has {start.width} x {start.height} pixels; at least "
                f"{factor} x {factor} are needed"
            )
        if (width or cut[0], height or cut[1]) != cut:
            raise InvalidRequest(
                f"{width or cut[0]} x {height or cut[1]} pixels were asked for, and the starting "
                f"picture has {start.width} x {start.height}; resize it first"
            )
        return PictureSize(*cut)
    if width is None and height is None:
        return PictureSize(*_native(components, factor))
    return PictureSize(width or height or 0, height or width or 0)
