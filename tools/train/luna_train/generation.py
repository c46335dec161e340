"""Pictures from captions with this package's own sampler, straight from trained weights."""

import torch

from .diffusion import ddim
from .tokens import tokenize
from .unet_stage import SCALE


@torch.no_grad()
def make_pictures(unet, text, vae, captions, size, steps=20, guidance=4.0, seed=0, batch=16):
    """[B, 3, size, size] in [-1, 1]. The noise follows from the seed and the place in the list."""
    device = next(unet.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(captions), 4, size // 8, size // 8, generator=generator)
    unsaid, pictures = text(tokenize([""]).to(device)), []
    for start in range(0, len(captions), batch):
        part = noise[start:start + batch]
        said = text(tokenize(captions[start:start + batch]).to(device))
        latents = ddim(unet, said, unsaid, part.shape, steps, guidance, noise=part)
        pictures.append(vae.decode(latents / SCALE).clamp(-1, 1).cpu())
    return torch.cat(pictures)
