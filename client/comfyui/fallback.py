"""daemon_mode auto: text encoding and the VAE go on in this process when the daemon is away
(samplings: trajectory.py)."""

import logging
from collections.abc import Callable
from typing import Any

import torch

from .connection import DaemonGone
from .local_models import LocalModels
from .progress_text import show
from .remote_clip import RemoteCLIP
from .remote_vae import RemoteVAE

log = logging.getLogger("luna")


def _or_locally(
    local: LocalModels | None, remotely: Callable[[], Any], locally: Callable[[LocalModels], Any]
) -> Any:
    try:
        return remotely()
    except DaemonGone as gone:
        if local is None:
            raise
        log.warning("%s; this ComfyUI does it with a model of its own", gone)
        show("the daemon is gone: done in this ComfyUI")
        return locally(local)


class FallbackCLIP(RemoteCLIP):
    """Encodes with ComfyUI's own encoder, the same LoRAs and clip skip, when the daemon is away."""

    def _stand_in(self, local: LocalModels) -> Any:
        clip = local.clip().clone()
        clip.layer_idx, clip.tokenizer_options = self.layer_idx, self.tokenizer_options.copy()
        clip.use_clip_schedule, clip.apply_hooks_to_conds = (
            self.use_clip_schedule,
            self.apply_hooks_to_conds,
        )
        clip.patcher.patches = {key: list(entries) for key, entries in self.patcher.patches.items()}
        clip.patcher.patches_uuid = self.patcher.patches_uuid
        clip.patcher.hook_patches = self.patcher.hook_patches
        clip.patcher.forced_hooks = self.patcher.forced_hooks
        return clip

    def encode_from_tokens_scheduled(self, tokens: Any, *args: Any, **named: Any) -> Any:
        return _or_locally(
            self.luna.local,
            lambda: super(FallbackCLIP, self).encode_from_tokens_scheduled(tokens, *args, **named),
            lambda local: self._stand_in(local).encode_from_tokens_scheduled(
                tokens, *args, **named
            ),
        )

    def encode_from_tokens(self, tokens: Any, *args: Any, **named: Any) -> Any:
        return _or_locally(
            self.luna.local,
            lambda: super(FallbackCLIP, self).encode_from_tokens(tokens, *args, **named),
            lambda local: self._stand_in(local).encode_from_tokens(tokens, *args, **named),
        )


class FallbackVAE(RemoteVAE):
    """Codes with ComfyUI's own VAE when the daemon is away."""

    def decode(self, samples_in: torch.Tensor, vae_options: dict | None = None) -> torch.Tensor:
        return _or_locally(
            self.luna.local,
            lambda: super(FallbackVAE, self).decode(samples_in),
            lambda local: local.vae().decode(samples_in),
        )

    def decode_tiled(self, samples: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:
        return _or_locally(
            self.luna.local,
            lambda: super(FallbackVAE, self).decode_tiled(samples, *args, **named),
            lambda local: local.vae().decode_tiled(samples, *args, **named),
        )

    def encode(self, pixel_samples: torch.Tensor) -> torch.Tensor:
        return _or_locally(
            self.luna.local,
            lambda: super(FallbackVAE, self).encode(pixel_samples),
            lambda local: local.vae().encode(pixel_samples),
        )

    def encode_tiled(self, pixel_samples: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:
        return _or_locally(
            self.luna.local,
            lambda: super(FallbackVAE, self).encode_tiled(pixel_samples, *args, **named),
            lambda local: local.vae().encode_tiled(pixel_samples, *args, **named),
        )
