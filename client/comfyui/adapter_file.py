"""ComfyUI's weight patches as an adapter file that Luna reads.

A patch is what `ModelPatcher.add_patches` keeps for a weight: an adapter object of
comfy/weight_adapter, or a tuple ("diff", (tensor,)), ("set", (tensor,)). What Luna knows of them
stands in docs/decisions/0012-adapters-as-overlays.md; everything else is refused by name, because
leaving it out would change the picture silently.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch

# How the positions of an adapter's `weights` are called in a file (comfy/weight_adapter: each
# class's load).
_LAYOUTS: dict[str, tuple[str, ...]] = {
    "lora": (
        "lora_up.weight",
        "lora_down.weight",
        "alpha",
        "lora_mid.weight",
        "dora_scale",
        "reshape_weight",
    ),
    "loha": (
        "hada_w1_a",
        "hada_w1_b",
        "alpha",
        "hada_w2_a",
        "hada_w2_b",
        "hada_t1",
        "hada_t2",
        "dora_scale",
    ),
    "lokr": (
        "lokr_w1",
        "lokr_w2",
        "alpha",
        "lokr_w1_a",
        "lokr_w1_b",
        "lokr_w2_a",
        "lokr_w2_b",
        "lokr_t2",
        "dora_scale",
    ),
    "glora": ("a1.weight", "a2.weight", "b1.weight", "b2.weight", "alpha", "dora_scale"),
    "oft": ("oft_blocks", "rescale", "alpha", "dora_scale"),
    "boft": ("oft_blocks", "rescale", "alpha", "dora_scale"),
}
_UNSERVED = "reshape_weight"


class UnservedPatch(ValueError):
    """A patch that Luna cannot apply; the text names the weight and says what it is."""


def layer_of(key: str) -> tuple[str, str]:
    """A state-dict key as (name of the layer in an adapter file, "weight" or "bias").

    "diffusion_model." names stay as they are; text encoders' get the prefix of ComfyUI's generic
    format.
    """
    layer, _, parameter = key.rpartition(".")
    if parameter not in ("weight", "bias"):
        raise UnservedPatch(f"{key}: Luna changes weights and biases of layers, not '{parameter}'")
    return (layer if layer.startswith("diffusion_model.") else f"text_encoders.{layer}"), parameter


def _from_adapter(key: str, layer: str, adapter: Any) -> dict[str, torch.Tensor]:
    layout = _LAYOUTS.get(adapter.name)
    if layout is None:
        raise UnservedPatch(
            f"{key}: an adapter of the kind '{adapter.name}' is not served; "
            f"served are {', '.join(_LAYOUTS)}"
        )
    tensors = {}
    for part, value in zip(layout, adapter.weights, strict=True):
        if value is None:
            continue
        if part == _UNSERVED:
            raise UnservedPatch(f"{key}: an adapter that changes a weight's shape is not served")
        tensors[f"{layer}.{part}"] = (
            value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
        )
    return tensors


def _from_tuple(key: str, layer: str, parameter: str, value: tuple) -> dict[str, torch.Tensor]:
    kind, content = ("diff", value) if len(value) == 1 else (value[0], value[1])
    if kind not in ("diff", "set"):
        raise UnservedPatch(
            f"{key}: a patch of the kind '{kind}' is not served; served are diff and set"
        )
    if len(content) > 1 and content[1].get("pad_weight"):
        raise UnservedPatch(f"{key}: a difference that enlarges its weight is not served")
    if parameter == "bias":
        if kind == "set":
            raise UnservedPatch(f"{key}: replacing a bias is not served")
        return {f"{layer}.diff_b": content[0]}
    return {f"{layer}.{'diff' if kind == 'diff' else 'set_weight'}": content[0]}


def tensors_of(key: str, value: Any) -> dict[str, torch.Tensor]:
    """One weight's patch as the tensors of an adapter file, under the names that Luna looks for."""
    layer, parameter = layer_of(key)
    if isinstance(value, list):
        raise UnservedPatch(
            f"{key}: weights of another model are mixed in; merge the checkpoints into a file first"
        )
    if isinstance(value, tuple):
        return _from_tuple(key, layer, parameter, value)
    if parameter != "weight":
        raise UnservedPatch(
            f"{key}: an adapter of the kind '{adapter_kind(value)}' cannot change a bias"
        )
    return _from_adapter(key, layer, value)


def adapter_kind(value: Any) -> str:
    return getattr(value, "name", type(value).__name__)


def adapter_file(patches: Mapping[str, Any]) -> bytes:
    """The patches (state-dict key -> adapter or tuple) as a safetensors file; equal patches give
    equal bytes."""
    tensors: dict[str, torch.Tensor] = {}
    for key in sorted(patches):
        tensors.update(tensors_of(key, patches[key]))
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    )


def content_name(file: bytes) -> str:
    """What a LoraRef calls an uploaded file."""
    return "sha256:" + hashlib.sha256(file).hexdigest()
