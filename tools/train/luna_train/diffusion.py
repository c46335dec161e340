"""SD1.5's noise schedule and a plain sampler, enough to train and to look."""

import torch


def alpha_bars():
    """Product of (1 - beta) over 1000 steps; betas are squares of a line from sqrt(0.00085) to sqrt(0.012)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    return (1 - betas).cumprod(0).float()


def add_noise(latents, noise, bars):
    bars = bars.view(-1, 1, 1, 1)
    return bars.sqrt() * latents + (1 - bars).sqrt() * noise


def min_snr_weight(bars, gamma=5.0):
    snr = bars / (1 - bars)
    return snr.clamp(max=gamma) / snr


@torch.no_grad()
def ddim(unet, conditional, unconditional, shape, steps=20, guidance=4.0, seed=0, noise=None):
    """Latents [B, 4, h, w], scaled. One context row each, or one for all."""
    device = conditional.device
    bars = alpha_bars().to(device)
    if noise is None:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    x = noise.to(device)
    times = torch.linspace(999, 0, steps + 1).round().long().tolist()
    context = torch.cat([conditional.expand(len(x), -1, -1), unconditional.expand(len(x), -1, -1)])
    for time, after in zip(times[:-1], times[1:]):
        both = unet(torch.cat([x, x]), torch.full((2 * len(x),), time, device=device), context)
        told, untold = both.float().chunk(2)
        eps = untold + guidance * (told - untold)
        clean = (x - (1 - bars[time]).sqrt() * eps) / bars[time].sqrt()
        x = bars[after].sqrt() * clean + (1 - bars[after]).sqrt() * eps if after > 0 else clean
    return x
