"""Stage 2: the autoencoder, on crops first, on whole pictures for the last quarter."""

import torch
from torch.nn import functional as F

from . import drawing
from . import scene as scenes
from .autoencoder import Autoencoder
from .stage import Stage, same_start, seeded

STYLE_SHARES = (0.7, 0.15, 0.15)


def make_autoencoder(preset):
    return Autoencoder(preset.vae_widths, groups=preset.vae_groups)


def to_tensor(pictures, device):
    """uint8 [H, W, 3] arrays to [B, 3, H, W] in [-1, 1]."""
    return torch.stack([torch.from_numpy(p.copy()) for p in pictures]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _crops(rng, count, size, crop):
    """Several crops of each drawn picture: drawing costs more than cutting."""
    pictures = []
    while len(pictures) < count:
        picture = drawing.pixels(scenes.random_scene(rng, STYLE_SHARES), size)
        for _ in range(min(4, count - len(pictures))):
            y, x = (int(rng.integers(0, (size - crop) // 8 + 1)) * 8 for _ in range(2))
            pictures.append(picture[y:y + crop, x:x + crop])
    return pictures


def _steps_between(a, b, axis):
    return ((a.diff(dim=axis) - b.diff(dim=axis)).abs()).mean()


def vae_loss(vae, pixels, progress, autocast):
    """L1 and squared error; a slight pull of the latents to a normal distribution and, fading, of three of them to the
    reduced picture, which keeps the start from stalling; differences of neighbours from the first quarter on."""
    with autocast():
        mean, log_variance = vae.encode(pixels)
        mean, log_variance = mean.float(), log_variance.float()
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        out = vae.decode(latents).float()
    error = out - pixels
    squared = error.square().mean()
    loss = error.abs().mean() + squared
    loss = loss + 1e-4 * 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    loss = loss + (0.3 if progress < 0.25 else 0.03) * (mean[:, :3] - F.avg_pool2d(pixels, 8)).square().mean()
    if progress > 0.25:
        for scale in (1, 2, 4):
            a, b = (F.avg_pool2d(x, scale) if scale > 1 else x for x in (out, pixels))
            loss = loss + 0.1 * (_steps_between(a, b, 2) + _steps_between(a, b, 3))
    return loss, {"psnr": 10 * torch.log10(4 / squared.detach())}


def train_vae(preset, folder, device, workers, autocast):
    same_start(preset.seed, "vae")
    vae = make_autoencoder(preset).to(device)
    stage = Stage("vae", folder, {"vae": vae}, preset.vae_steps, 1.2e-3, device, workers, preset.seed, weight_decay=1e-4)

    def loss(step, rng):
        progress = step / preset.vae_steps
        batch = preset.vae_batch // workers.count
        whole = progress >= 0.75
        pictures = _crops(rng, batch // 4 if whole else batch, preset.size, preset.size if whole else preset.size // 2)
        return vae_loss(vae, to_tensor(pictures, device), progress, autocast)

    stage.run(loss)


def psnr_8bit(out, truth):
    """dB of each picture [B, 3, H, W] in [-1, 1], both rounded to 8 bits."""
    out, truth = (((x.clamp(-1, 1) + 1) * 127.5).round() for x in (out, truth))
    squared = (out - truth).square().mean((1, 2, 3)).clamp_min(1e-6)
    return 10 * torch.log10(255.0**2 / squared)


@torch.no_grad()
def held_out_psnr(vae, preset, device, count=64):
    """Mean PSNR in dB of flat pictures that training did not see, in 8 bits, and of the mean latents."""
    rng = seeded(preset.seed, 991)
    pixels = to_tensor([drawing.pixels(scenes.held_out_scene(rng), preset.size) for _ in range(count)], device)
    total = 0.0
    for part in pixels.split(8):
        total += psnr_8bit(vae.decode(vae.encode(part)[0]), part).sum().item()
    return total / count
