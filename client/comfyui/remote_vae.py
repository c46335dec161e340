"""The VAE of the nodes: ComfyUI's class without a model, whose coding is done by the daemon."""

import comfy.model_management
import comfy.sd
import torch

from . import unserved
from .remote_model import RemotePatcher
from .served_model import ServedModel


def _square(tile_x: int | None, tile_y: int | None, default: int) -> int:
    if tile_x != tile_y:
        unserved.refuse([f"tiles that are not square ({tile_x} x {tile_y})"])
    return default if tile_x is None else tile_x


class RemoteVAE(comfy.sd.VAE):
    """SD's and SDXL's: 4 channels of an eighth of the size. The base class's constructor, which
    builds a model, is left out; its questions about sizes are answered from these numbers."""

    FACTOR = 8

    def __init__(self, served: ServedModel) -> None:
        self.luna = served
        self.latent_channels, self.latent_dim, self.output_channels = 4, 2, 3
        self.downscale_ratio = self.upscale_ratio = self.FACTOR
        self.upscale_index_formula = self.downscale_index_formula = None
        self.crop_input, self.pad_channel_value, self.not_video = True, None, False
        self.extra_1d_channel, self.handles_tiling, self.disable_offload = None, False, False
        self.format_encoded, self.audio_sample_rate = None, 44100
        self.working_dtypes, self.vae_dtype = [torch.float32], torch.float32
        self.device = comfy.model_management.vae_device()
        self.output_device = comfy.model_management.intermediate_device()
        self.process_input = lambda pixels: pixels * 2.0 - 1.0
        self.process_output = lambda pixels: pixels.add_(1.0).div_(2.0).clamp_(0.0, 1.0)
        self.memory_used_encode = self.memory_used_decode = lambda shape, dtype: 0
        self.size = 0
        self.first_stage_model = torch.nn.Module()
        self.first_stage_model.device = self.device
        self.first_stage_model.luna = served
        self.patcher = RemotePatcher(self.first_stage_model, self.device, torch.device("cpu"))

    def decode(self, samples_in: torch.Tensor, vae_options: dict | None = None) -> torch.Tensor:
        return self._decode(samples_in, 0, 0)

    def decode_tiled(
        self,
        samples: torch.Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> torch.Tensor:
        """Tile and overlap in latent cells."""
        tile = _square(tile_x, tile_y, 64)
        return self._decode(
            samples, tile * self.FACTOR, (16 if overlap is None else overlap) * self.FACTOR
        )

    def encode(self, pixel_samples: torch.Tensor) -> torch.Tensor:
        return self._encode(pixel_samples, 0, 0)

    def encode_tiled(
        self,
        pixel_samples: torch.Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> torch.Tensor:
        """Tile and overlap in pixels."""
        return self._encode(
            pixel_samples, _square(tile_x, tile_y, 512), 64 if overlap is None else overlap
        )

    def _decode(self, latent: torch.Tensor, tile: int, overlap: int) -> torch.Tensor:
        if latent.ndim == 5:
            latent = latent[:, :, 0]
        latent = latent.detach().to("cpu", torch.float32).contiguous()
        return self.luna.vae_decode(latent, tile, overlap).to(self.output_device)

    def _encode(self, pixels: torch.Tensor, tile: int, overlap: int) -> torch.Tensor:
        pixels = self.vae_encode_crop_pixels(pixels).detach().to("cpu", torch.float32).contiguous()
        return self.luna.vae_encode(pixels, tile, overlap).to(self.output_device)
