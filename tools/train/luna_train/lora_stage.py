"""Stages 7 and 8: low-rank changes of the UNet (LoRA, Hu et al. 2021) that draw in another style.

The captions do not name the style, so that it comes from the LoRA alone."""

import dataclasses
import math

import torch
from torch import nn

from . import scene as scenes
from .diffusion import alpha_bars
from .lora_names import blocks_a_level, kohya_name
from .stage import Stage, finished, same_start
from .text_stage import make_text_encoder
from .tokens import tokenize
from .unet_stage import denoising_loss, load_latents, make_unet

RANK, ALPHA = 8, 8.0
STYLE_SHARES = {"duotone": (0.0, 0.0, 0.0, 1.0), "pencil": (0.0, 0.0, 1.0)}


def latents_name(style):
    return f"{style}-latents"


def file_name(style):
    return f"luna-{style}.safetensors"


def finished_base(preset, folder):
    """The averaged UNet and text encoder, frozen."""
    state = finished(folder, "unet", preset.unet_steps)
    unet, text = make_unet(preset).eval().requires_grad_(False), make_text_encoder(preset).eval().requires_grad_(False)
    unet.load_state_dict(state["unet"])
    text.load_state_dict(state["text"])
    return unet, text


class _Change(nn.Module):
    """What is added to a layer's output; nothing at first."""

    def __init__(self, layer):
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            self.down = nn.Conv2d(layer.in_channels, RANK, 1, bias=False)
            self.up = nn.Conv2d(RANK, layer.out_channels, 1, bias=False)
        else:
            self.down = nn.Linear(layer.in_features, RANK, bias=False)
            self.up = nn.Linear(RANK, layer.out_features, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.up(self.down(x)) * (ALPHA / RANK)


def changed_layers(unet):
    """kohya's name → layer: every linear layer of the transformers and the 1×1 convolutions around them."""
    blocks = blocks_a_level(unet)
    return {kohya_name(name, blocks): layer for name, layer in unet.named_modules()
            if (isinstance(layer, nn.Linear) and ".transformer_blocks." in name)
            or name.endswith((".proj_in", ".proj_out"))}


class Lora(nn.ModuleDict):
    def __init__(self, unet):
        super().__init__({name: _Change(layer) for name, layer in changed_layers(unet).items()})

    def attach(self, unet):
        """From now on the UNet computes with it; its own weights stay as they are."""
        for name, layer in changed_layers(unet).items():
            layer.register_forward_hook(lambda _, inputs, out, change=self[name]: out + change(inputs[0]))


def finished_lora(preset, folder, style, unet):
    lora = Lora(unet).eval().requires_grad_(False)
    lora.load_state_dict(finished(folder, f"lora-{style}", preset.style_steps)["lora"])
    return lora


def unsaid_style(scene, rng):
    """A caption that says what the picture shows and not how it is drawn."""
    return scenes.caption(dataclasses.replace(scene, style="flat"), rng)


def train_lora(preset, folder, device, workers, autocast, style):
    unet, text = (part.to(device) for part in finished_base(preset, folder))
    same_start(preset.seed, f"lora-{style}")
    lora = Lora(unet).to(device)
    lora.attach(unet)
    stage = Stage(f"lora-{style}", folder, {"lora": lora}, preset.style_steps, 2e-3, device, workers, preset.seed,
                  decay=0.995, weight_decay=0.0)
    latents, drawn = load_latents(folder, latents_name(style))
    bars = alpha_bars().to(device)

    def loss(_, rng):
        rows = rng.integers(0, len(drawn), max(1, preset.unet_batch // workers.count))
        captions = ["" if rng.random() < 0.1 else unsaid_style(drawn[row], rng) for row in rows]
        tokens = tokenize(captions).to(device)
        return denoising_loss(unet, text, latents[rows].float().to(device), tokens, bars, autocast)

    stage.run(loss)
