"""Stage 5: a small decoder that previews latents while they are sampled, shaped and named as TAESD's."""

import torch
from torch import nn
from torch.nn import functional as F

from . import drawing
from . import scene as scenes
from .layers import Numbered
from .stage import Stage, finished, same_start, seeded
from .unet_stage import SCALE, finished_vae, load_latents
from .vae_stage import psnr_8bit, to_tensor

WIDTH = 32  # TAESD itself has 64
BLOCKS, DOUBLINGS, AFTER_DOUBLINGS = (3, 4, 5, 8, 9, 10, 13, 14, 15, 18), (6, 11, 16), (7, 12, 17)
CROP, MARGIN = 8, 1  # cells of the latent; the outermost lack their neighbours and are not compared


def _conv(channels, out, bias=True):
    return nn.Conv2d(channels, out, 3, padding=1, bias=bias)


class _Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = Numbered({i: _conv(width, width) for i in (0, 2, 4)})

    def forward(self, x):
        return F.relu(x + self.conv[4](F.relu(self.conv[2](F.relu(self.conv[0](x))))))


class PreviewDecoder(Numbered):
    """Scaled latents [B, 4, h, w] to pictures [B, 3, 8h, 8w] in [0, 1]."""

    def __init__(self, width=WIDTH):
        layers = {1: _conv(4, width), 19: _conv(width, 3)}
        layers |= {number: _Block(width) for number in BLOCKS}
        layers |= {number: _conv(width, width, bias=False) for number in AFTER_DOUBLINGS}
        super().__init__(dict(sorted(layers.items())))

    def forward(self, latents):
        x = F.relu(self[1](3 * torch.tanh(latents / 3)))
        for number in range(3, 20):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") if number in DOUBLINGS else self[number](x)
        return x


def finished_preview(preset, folder):
    decoder = PreviewDecoder().eval().requires_grad_(False)
    decoder.load_state_dict(finished(folder, "preview", preset.small_steps)["preview"])
    return decoder


def _crops(latents, pictures, rng, each=4):
    """Crops of whole reconstructions, not reconstructions of crops: the VAE's norms and attention see the whole."""
    cells = min(CROP, latents.shape[-1])
    for _ in range(each):
        for latent, picture in zip(latents, pictures):
            y, x = (int(rng.integers(0, latents.shape[-1] - cells + 1)) for _ in range(2))
            yield latent[:, y:y + cells, x:x + cells], picture[:, 8 * y:8 * (y + cells), 8 * x:8 * (x + cells)]


def preview_loss(decoder, vae, latents, rng, autocast):
    """L1 and squared error against the VAE's own decoding; one step in four on whole pictures, for their edges."""
    with autocast(), torch.no_grad():
        pictures = (vae.decode(latents / SCALE).float().clamp(-1, 1) + 1) / 2
    margin = 0
    if rng.random() >= 0.25:
        latents, pictures = (torch.stack(part) for part in zip(*_crops(latents, pictures, rng)))
        margin = 8 * MARGIN
    with autocast():
        out = decoder(latents).float()
    error = (out - pictures)[..., margin:out.shape[-2] - margin, margin:out.shape[-1] - margin]
    squared = error.square().mean()
    return error.abs().mean() + squared, {"psnr": -10 * torch.log10(squared.detach().clamp_min(1e-9))}


def train_preview(preset, folder, device, workers, autocast):
    same_start(preset.seed, "preview")
    decoder, vae = PreviewDecoder().to(device), finished_vae(preset, folder).to(device)
    latents, _ = load_latents(folder)
    stage = Stage("preview", folder, {"preview": decoder}, preset.small_steps, 1.5e-3, device, workers, preset.seed)
    count = max(1, preset.vae_batch // 4 // workers.count)

    def loss(_, rng):
        rows = rng.integers(0, len(latents), count)
        return preview_loss(decoder, vae, latents[rows].float().to(device), rng, autocast)

    stage.run(loss)


@torch.no_grad()
def preview_psnr(decoder, vae, preset, device, count=32):
    """Mean PSNR in dB of held-out pictures after the preview decoder, and after the VAE."""
    rng = seeded(preset.seed, 992)
    pixels = to_tensor([drawing.pixels(scenes.held_out_scene(rng), preset.size) for _ in range(count)], device)
    previews, decoded = [], []
    for part in pixels.split(8):
        latents = vae.encode(part)[0]
        previews.append(psnr_8bit(decoder(latents * SCALE) * 2 - 1, part))
        decoded.append(psnr_8bit(vae.decode(latents), part))
    return torch.cat(previews).mean().item(), torch.cat(decoded).mean().item()
