"""The CLIP of the nodes: ComfyUI's own class and tokenizer around an encoder in the daemon."""

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.hooks
import comfy.model_management
import comfy.sd
import torch

from . import unserved
from .remote_model import RemotePatcher
from .served_model import ServedModel


class RemoteEncoder:
    """Mixed into the text encoder's class. `luna_clip` is the CLIP that encodes now: clones share
    the encoder, and each has its own clip skip and LoRAs."""

    luna_clip: "RemoteCLIP"

    def encode_token_weights(self, tokens: Any) -> tuple[torch.Tensor, torch.Tensor]:
        clip = self.luna_clip
        entry = clip.luna.encode(
            wire_tokens(tokens),
            -clip.layer_idx if clip.layer_idx is not None else 0,
            clip.patcher.loras(),
        )
        device = comfy.model_management.intermediate_device()
        return entry.cross_attn.to(device), entry.pooled.to(device)

    def set_clip_options(self, options: Mapping[str, Any]) -> None:
        if options.get("projected_pooled") is False:
            unserved.refuse(["text encoding without its projection (unCLIP)"])

    def reset_clip_options(self) -> None:
        """Nothing is set here: the options go with each call."""

    def generate(self, *_: Any, **__: Any) -> None:
        unserved.refuse(["text generation"])


def wire_tokens(tokens: Any) -> dict[str, list[list[tuple[Any, float]]]]:
    """ComfyUI's token dictionary, with textual inversions as arrays. Word ids, where there are
    such, stay here."""

    def token(pair: Sequence[Any]) -> tuple[Any, float]:
        value, weight = pair[0], float(pair[1])
        if isinstance(value, torch.Tensor):
            return value.detach().float().cpu().numpy(), weight
        if isinstance(value, Mapping):
            unserved.refuse(["a picture within a prompt"])
        return int(value), weight

    if not isinstance(tokens, Mapping):
        tokens = {"l": tokens}
    return {
        encoder: [[token(pair) for pair in chunk] for chunk in chunks]
        for encoder, chunks in tokens.items()
    }


class RemoteCLIP(comfy.sd.CLIP):
    """Where the base class loads its model, nothing is to be done here; all else is the base
    class's."""

    luna: ServedModel

    @classmethod
    def over(cls, clip: comfy.sd.CLIP, served: ServedModel) -> "RemoteCLIP":
        """Takes over a CLIP whose encoder is on "meta"."""
        encoder, kind = clip.cond_stage_model, type(clip.cond_stage_model)
        encoder.__class__ = type(
            kind.__name__, (RemoteEncoder, kind), {"__module__": kind.__module__}
        )
        encoder.luna = served
        clip.patcher = RemotePatcher(encoder, clip.patcher.load_device, torch.device("cpu"))
        clip.patcher.hook_mode = comfy.hooks.EnumHookMode.MinVram
        clip.patcher.is_clip = True
        clip.__class__ = cls
        clip.luna = served
        return clip

    def clone(self, disable_dynamic: bool = False) -> "RemoteCLIP":
        clip = super().clone()
        clip.__class__ = type(self)
        clip.luna = self.luna
        return clip

    def load_model(self, tokens: Any = None) -> RemotePatcher:
        self.cond_stage_model.luna_clip = self
        return self.patcher
