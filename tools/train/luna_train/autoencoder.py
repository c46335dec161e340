"""AutoencoderKL with the tensor names of SD1.5's first stage (ldm: modules/diffusionmodules/model.py)."""

import torch
from torch import nn
from torch.nn import functional as F

from .layers import attend


class _ResBlock(nn.Module):
    def __init__(self, channels, out, groups):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, channels, eps=1e-6), nn.Conv2d(channels, out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(groups, out, eps=1e-6), nn.Conv2d(out, out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(channels, out, 1) if channels != out else None

    def forward(self, x):
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return h + (self.nin_shortcut(x) if self.nin_shortcut is not None else x)


class _Attention(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.q, self.k = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.v, self.proj_out = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        flat = self.norm(x)
        q, k, v = (layer(flat).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return x + self.proj_out(attend(q, k, v, 1).transpose(1, 2).reshape(x.shape))


class _Middle(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.block_1 = _ResBlock(channels, channels, groups)
        self.attn_1 = _Attention(channels, groups)
        self.block_2 = _ResBlock(channels, channels, groups)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class _Resample(nn.Module):
    def __init__(self, channels, down):
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x):
        if self.down:
            return self.conv(F.pad(x, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class _Level(nn.Module):
    def __init__(self, channels, out, blocks, groups, resample):
        super().__init__()
        self.block = nn.ModuleList(_ResBlock(channels if i == 0 else out, out, groups) for i in range(blocks))
        if resample == "down":
            self.downsample = _Resample(out, True)
        elif resample == "up":
            self.upsample = _Resample(out, False)

    def forward(self, x):
        for block in self.block:
            x = block(x)
        for name in ("downsample", "upsample"):
            if hasattr(self, name):
                x = getattr(self, name)(x)
        return x


class _Encoder(nn.Module):
    def __init__(self, widths, blocks, groups):
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        before = [widths[0], *widths[:-1]]
        last = len(widths) - 1
        self.down = nn.ModuleList(_Level(before[i], w, blocks, groups, "down" if i != last else None)
                                  for i, w in enumerate(widths))
        self.mid = _Middle(widths[-1], groups)
        self.norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 8, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class _Decoder(nn.Module):
    def __init__(self, widths, blocks, groups):
        super().__init__()
        self.conv_in = nn.Conv2d(4, widths[-1], 3, padding=1)
        self.mid = _Middle(widths[-1], groups)
        before = [*widths[1:], widths[-1]]
        self.up = nn.ModuleList(_Level(before[i], w, blocks + 1, groups, "up" if i != 0 else None)
                                for i, w in enumerate(widths))
        self.norm_out = nn.GroupNorm(groups, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1], H and W multiples of 8; latents [B, 4, H/8, W/8] before the scaling factor."""

    def __init__(self, widths=(32, 32, 64, 64), blocks=1, groups=8):
        super().__init__()
        self.widths, self.groups = tuple(widths), groups
        self.encoder, self.decoder = _Encoder(widths, blocks, groups), _Decoder(widths, blocks, groups)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(8, 8, 1), nn.Conv2d(4, 4, 1)

    def encode(self, pixels):
        """Mean and log-variance of the posterior."""
        mean, log_variance = self.quant_conv(self.encoder(pixels)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))

    @torch.no_grad()
    def normalise(self, mean, std):
        """Folds the latents' own mean and spread [4] into the two 1×1 convolutions, so that scaled latents have unit
        variance with SD1.5's factor 0.18215."""
        target = 1 / 0.18215
        gain = target / std
        self.quant_conv.weight[:4] *= gain.view(4, 1, 1, 1)
        self.quant_conv.bias[:4] = (self.quant_conv.bias[:4] - mean) * gain
        self.quant_conv.bias[4:] += 2 * gain.log()
        old = self.post_quant_conv.weight.clone()
        self.post_quant_conv.bias += (old[:, :, 0, 0] @ mean)
        self.post_quant_conv.weight.copy_(old / gain.view(1, 4, 1, 1))
