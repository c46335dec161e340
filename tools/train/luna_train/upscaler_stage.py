"""Stage 6: a 4× upscaler for the same pictures: RRDBNet (ESRGAN, Wang et al. 2018) under its newer tensor names.

Readers of these files take 32 growth channels for granted and read only the other sizes from the tensors; so the
network is made small by its features and its single block."""

import numpy
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from . import drawing
from . import scene as scenes
from .stage import Stage, finished, same_start, seeded
from .vae_stage import psnr_8bit, to_tensor

FEATURES, BLOCKS, GROWTH = 16, 1, 32
FACTOR, CROP = 4, 32  # the crop: pixels of the small picture
STYLE_SHARES = (0.8, 0.1, 0.1)
SQUARED_FLOOR = 1e-5  # below it (50 dB) a crop is good enough


def _conv(channels, out):
    return nn.Conv2d(channels, out, 3, padding=1)


def _bend(x):
    return F.leaky_relu(x, 0.2)


class _Dense(nn.Module):
    def __init__(self, features, growth):
        super().__init__()
        for i in range(5):
            conv = _conv(features + i * growth, growth if i < 4 else features)
            with torch.no_grad():
                conv.weight *= 0.5
            self.add_module(f"conv{i + 1}", conv)

    def forward(self, x):
        seen = x
        for i in range(1, 5):
            seen = torch.cat([seen, _bend(getattr(self, f"conv{i}")(seen))], 1)
        return x + 0.2 * self.conv5(seen)


class _Block(nn.Module):
    def __init__(self, features, growth):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_Dense(features, growth) for _ in range(3))

    def forward(self, x):
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class Upscaler(nn.Module):
    """Pictures [B, 3, h, w] to [B, 3, 4h, 4w], both in [0, 1]."""

    def __init__(self, features=FEATURES, blocks=BLOCKS, growth=GROWTH):
        super().__init__()
        self.conv_first = _conv(3, features)
        self.body = nn.Sequential(*(_Block(features, growth) for _ in range(blocks)))
        self.conv_body = _conv(features, features)
        self.conv_up1, self.conv_up2 = _conv(features, features), _conv(features, features)
        self.conv_hr, self.conv_last = _conv(features, features), _conv(features, 3)
        self._start_as_nearest()

    @torch.no_grad()
    def _start_as_nearest(self):
        """The colours pass in the first three features; what is learned is the difference to plain enlargement."""
        self.conv_body.weight *= 0.1
        for conv in (self.conv_first, self.conv_up1, self.conv_up2, self.conv_hr, self.conv_last):
            conv.weight.mul_(0.3).add_(nn.init.dirac_(torch.empty_like(conv.weight)))
            conv.bias.zero_()
            conv.weight[:3] *= 0.0
            conv.weight[:3] += nn.init.dirac_(torch.empty_like(conv.weight[:3]))

    def forward(self, x):
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for conv in (self.conv_up1, self.conv_up2):
            x = _bend(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return self.conv_last(_bend(self.conv_hr(x)))


def finished_upscaler(preset, folder):
    upscaler = Upscaler().eval().requires_grad_(False)
    upscaler.load_state_dict(finished(folder, "upscaler", preset.upscaler_steps)["upscaler"])
    return upscaler


def _reduced(picture):
    """As the drawing itself comes to its size."""
    side = picture.shape[0] // FACTOR
    return numpy.asarray(Image.fromarray(picture).resize((side, side), Image.BOX))


def _crop(rng, picture):
    side = min(CROP * FACTOR, picture.shape[0])
    y, x = (int(rng.integers(0, (picture.shape[0] - side) // FACTOR + 1)) * FACTOR for _ in range(2))
    return picture[y:y + side, x:x + side]


def _pairs(rng, large, count, device):
    """Small and large crops in [0, 1]. Of two crops of a picture the livelier one: much of it is plain background."""
    small, wanted = [], []
    for _ in range(count):
        picture = large[int(rng.integers(len(large)))]
        crop = max((_crop(rng, picture) for _ in range(2)), key=lambda part: part[::FACTOR, ::FACTOR].std())
        wanted.append(crop)
        small.append(_reduced(crop))
    return tuple((to_tensor(part, device) + 1) / 2 for part in (small, wanted))


def train_upscaler(preset, folder, device, workers, autocast):
    same_start(preset.seed, "upscaler")
    upscaler = Upscaler().to(device)
    stage = Stage("upscaler", folder, {"upscaler": upscaler}, preset.upscaler_steps, 2e-3, device, workers,
                  preset.seed)
    rng = seeded(preset.seed, 66, workers.rank)
    large = [drawing.pixels(scenes.random_scene(rng, STYLE_SHARES), preset.size * FACTOR)
             for _ in range(preset.upscaler_pictures)]

    def loss(_, rng):
        small, wanted = _pairs(rng, large, max(1, preset.vae_batch // workers.count), device)
        with autocast():
            out = upscaler(small).float()
        squared = (out - wanted).square().mean((1, 2, 3))
        # What is wanted is a high PSNR of every picture, not a low error over all: so its logarithm.
        psnr = -10 * torch.log10(squared + SQUARED_FLOOR)
        return -psnr.mean(), {"psnr": psnr.detach().mean()}

    stage.run(loss)


@torch.no_grad()
def upscaler_psnr(upscaler, preset, device, count=16):
    """Mean PSNR in dB on held-out pictures of the upscaler, and of Lanczos, from the same box-reduced pictures."""
    rng = seeded(preset.seed, 993)
    ours, lanczos = [], []
    for _ in range(count):
        large = drawing.pixels(scenes.held_out_scene(rng), preset.size * FACTOR)
        small = _reduced(large)
        plain = numpy.asarray(Image.fromarray(small).resize(large.shape[:2], Image.LANCZOS))
        truth = to_tensor([large], device)
        out = upscaler((to_tensor([small], device) + 1) / 2) * 2 - 1
        ours.append(psnr_8bit(out, truth))
        lanczos.append(psnr_8bit(to_tensor([plain], device), truth))
    return torch.cat(ours).mean().item(), torch.cat(lanczos).mean().item()
