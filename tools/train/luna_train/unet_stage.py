"""Stage 4: UNet and text encoder learn to denoise the latents of captioned pictures."""

import pickle
import time

import torch

from . import drawing
from . import scene as scenes
from .diffusion import add_noise, alpha_bars, min_snr_weight
from .stage import Stage, finished, same_start, save, seeded
from .text_stage import make_text_encoder
from .tokens import tokenize
from .unet import UNet
from .vae_stage import make_autoencoder, to_tensor

SCALE = 0.18215


def make_unet(preset):
    return UNet(preset.unet_widths, preset.unet_attention, context=preset.text_width, heads=preset.unet_heads)


def finished_vae(preset, folder):
    """The autoencoder of a finished stage, its latents brought to unit variance."""
    vae = make_autoencoder(preset).eval().requires_grad_(False)
    vae.load_state_dict(finished(folder, "vae", preset.vae_steps)["vae"])
    rng = seeded(preset.seed, 55)
    with torch.no_grad():
        pixels = to_tensor([drawing.pixels(scenes.random_scene(rng), preset.size) for _ in range(256)], "cpu")
        means = torch.cat([vae.encode(part)[0] for part in pixels.split(16)])
        vae.normalise(means.mean((0, 2, 3)), means.std((0, 2, 3)))
    return vae


@torch.no_grad()
def compute_latents(preset, folder, device, workers, autocast, style_shares, count, name="latents",
                    make_scene=scenes.random_scene):
    """Stage 3: scenes and their scaled mean latents, once, in a file a worker. make_scene(rng, style_shares)."""
    path = folder / f"{name}-{workers.rank}of{workers.count}.pt"
    if path.exists():
        return
    vae = finished_vae(preset, folder).to(device)
    rng, began = seeded(preset.seed, sum(name.encode()), workers.rank), time.time()
    drawn, latents = [], []
    while len(drawn) < count // workers.count:
        part = [make_scene(rng, style_shares) for _ in range(32)]
        pixels = to_tensor([drawing.pixels(scene, preset.size) for scene in part], device)
        with autocast():
            latents.append((vae.encode(pixels)[0].float() * SCALE).half().cpu())
        drawn += part
    save({"latents": torch.cat(latents), "scenes": pickle.dumps(drawn)}, path)
    print(f"{len(drawn)} latents in {time.time() - began:.0f} s", flush=True)


def load_latents(folder, name="latents"):
    parts = [torch.load(path, weights_only=True) for path in sorted(folder.glob(f"{name}-*of*.pt"))]
    return torch.cat([part["latents"] for part in parts]), sum((pickle.loads(part["scenes"]) for part in parts), [])


class Captions:
    """A caption for a scene, another wording each time; one in ten is empty, so that guidance works."""

    def __call__(self, drawn, rng):
        return tokenize(["" if rng.random() < 0.1 else scenes.caption(scene, rng) for scene in drawn])


def denoising_loss(unet, text, latents, tokens, bars, autocast):
    """Squared error of the predicted noise, weighted by min-SNR 5 (Hang et al. 2023)."""
    noise = torch.randn_like(latents)
    timesteps = torch.randint(0, len(bars), (len(latents),), device=latents.device)
    with autocast():
        predicted = unet(add_noise(latents, noise, bars[timesteps]), timesteps, text(tokens)).float()
    each = (predicted - noise).square().mean((1, 2, 3))
    return (each * min_snr_weight(bars[timesteps])).mean(), {"error": each.detach().mean()}


def train_unet(preset, folder, device, workers, autocast):
    same_start(preset.seed, "unet")
    unet, text = make_unet(preset).to(device), make_text_encoder(preset).to(device)
    text.load_state_dict(finished(folder, "text", preset.text_steps)["text"])
    stage = Stage("unet", folder, {"unet": unet, "text": text}, preset.unet_steps, 1e-3, device, workers, preset.seed,
                  rates={"text": 0.2}, decay=0.9995)
    latents, drawn = load_latents(folder)
    bars, captions = alpha_bars().to(device), Captions()

    def loss(_, rng):
        rows = rng.integers(0, len(drawn), preset.unet_batch // workers.count)
        tokens = captions([drawn[row] for row in rows], rng).to(device)
        return denoising_loss(unet, text, latents[rows].float().to(device), tokens, bars, autocast)

    stage.run(loss)
