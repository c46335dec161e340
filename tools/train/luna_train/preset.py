"""The two sizes of effort: what CPU cores reach in hours, what a GPU reaches in minutes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Preset:
    name: str
    size: int                 # of the pictures
    vae_widths: tuple
    vae_groups: int
    vae_steps: int
    vae_batch: int            # small crops first, then whole pictures a quarter of this
    text_layers: int
    text_steps: int
    unet_widths: tuple
    unet_attention: tuple
    unet_steps: int
    unet_batch: int
    pictures: int             # whose latents are computed once
    style_steps: int          # of each LoRA
    small_steps: int          # of the preview decoder
    seed: int = 7
    text_width: int = 48
    text_heads: int = 4
    unet_heads: int = 8
    style_pictures: int = 4000    # whose latents each LoRA learns from
    concept_pictures: int = 256   # likewise, the embedding
    embedding_steps: int = 600
    upscaler_pictures: int = 160  # drawn at four times the size, kept in memory
    upscaler_steps: int = 7000
    judge_steps: int = 3000
    judge_batch: int = 64


CPU = Preset("cpu", 128, (32, 32, 64, 64), 8, 9000, 16, 4, 4000, (64, 96, 96), (True, True, False), 13000, 24, 40000,
             1500, 3000, unet_heads=4)
GPU = Preset("gpu", 256, (64, 64, 64, 64), 32, 20000, 64, 6, 4000, (64, 64, 64, 64), (True, True, True, False), 60000,
             128, 200000, 4000, 10000)
PRESETS = {preset.name: preset for preset in (CPU, GPU)}
