"""SD1.5's UNet with its tensor names (ldm: modules/diffusionmodules/openaimodel.py), any widths."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .layers import Numbered, attend

GROUPS = 32


def timestep_embedding(timesteps, width):
    """Cosines, then sines, of frequencies from 1 down to 1/10000 [B, width]."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


class _ResBlock(nn.Module):
    def __init__(self, channels, out, embedding):
        super().__init__()
        self.in_layers = Numbered({0: nn.GroupNorm(GROUPS, channels), 2: nn.Conv2d(channels, out, 3, padding=1)})
        self.emb_layers = Numbered({1: nn.Linear(embedding, out)})
        self.out_layers = Numbered({0: nn.GroupNorm(GROUPS, out), 3: nn.Conv2d(out, out, 3, padding=1)})
        nn.init.zeros_(self.out_layers[3].weight)
        nn.init.zeros_(self.out_layers[3].bias)
        self.skip_connection = nn.Conv2d(channels, out, 1) if channels != out else None

    def forward(self, x, embedding, _):
        h = self.in_layers[2](F.silu(self.in_layers[0](x)))
        h = h + self.emb_layers[1](F.silu(embedding))[:, :, None, None]
        h = self.out_layers[3](F.silu(self.out_layers[0](h)))
        return h + (self.skip_connection(x) if self.skip_connection is not None else x)


class _CrossAttention(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)
        self.to_out = Numbered({0: nn.Linear(width, width)})

    def forward(self, x, context):
        return self.to_out[0](attend(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))


class _Geglu(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x):
        x, gate = self.proj(x).chunk(2, -1)
        return x * F.gelu(gate)


class _FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = Numbered({0: _Geglu(width, 4 * width), 2: nn.Linear(4 * width, width)})

    def forward(self, x):
        return self.net[2](self.net[0](x))


class _TransformerBlock(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(width), _CrossAttention(width, width, heads)
        self.norm2, self.attn2 = nn.LayerNorm(width), _CrossAttention(width, context, heads)
        self.norm3, self.ff = nn.LayerNorm(width), _FeedForward(width)

    def forward(self, x, context):
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class _SpatialTransformer(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.norm, self.proj_in = nn.GroupNorm(GROUPS, width, eps=1e-6), nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([_TransformerBlock(width, context, heads)])
        self.proj_out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x, _, context):
        flat = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            flat = block(flat, context)
        return x + self.proj_out(flat.transpose(1, 2).reshape(x.shape))


class _Down(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x, *_):
        return self.op(x)


class _Up(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x, *_):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class _Block(nn.ModuleList):
    def forward(self, x, embedding, context):
        for layer in self:
            x = layer(x, embedding, context) if not isinstance(layer, nn.Conv2d) else layer(x)
        return x


class UNet(nn.Module):
    """Noisy latents [B, 4, h, w] with unit variance, timesteps [B], context [B, N, C] to the noise in them.

    attention: one flag a level. h and w: multiples of 2^(levels - 1)."""

    def __init__(self, widths=(64, 96, 96), attention=(True, True, False), blocks=1, context=64, heads=8):
        super().__init__()
        self.widths, self.heads = tuple(widths), heads
        base, embedding = widths[0], 4 * widths[0]
        self.time_embed = Numbered({0: nn.Linear(base, embedding), 2: nn.Linear(embedding, embedding)})
        self.input_blocks = nn.ModuleList([_Block([nn.Conv2d(4, base, 3, padding=1)])])
        channels, skips = base, [base]
        for level, width in enumerate(widths):
            for _ in range(blocks):
                self.input_blocks.append(_Block(self._level(channels, width, embedding, context, attention[level])))
                channels = width
                skips.append(channels)
            if level != len(widths) - 1:
                self.input_blocks.append(_Block([_Down(channels)]))
                skips.append(channels)
        self.middle_block = _Block([_ResBlock(channels, channels, embedding),
                                    _SpatialTransformer(channels, context, heads),
                                    _ResBlock(channels, channels, embedding)])
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for i in range(blocks + 1):
                layers = self._level(channels + skips.pop(), width, embedding, context, attention[level])
                channels = width
                if level and i == blocks:
                    layers.append(_Up(channels))
                self.output_blocks.append(_Block(layers))
        self.out = Numbered({0: nn.GroupNorm(GROUPS, channels), 2: nn.Conv2d(channels, 4, 3, padding=1)})
        nn.init.zeros_(self.out[2].weight)
        nn.init.zeros_(self.out[2].bias)

    def _level(self, channels, width, embedding, context, attention):
        layers = [_ResBlock(channels, width, embedding)]
        if attention:
            layers.append(_SpatialTransformer(width, context, self.heads))
        return layers

    def forward(self, x, timesteps, context):
        embedding = timestep_embedding(timesteps, self.widths[0]).to(x.dtype)
        embedding = self.time_embed[2](F.silu(self.time_embed[0](embedding)))
        skips = []
        for block in self.input_blocks:
            x = block(x, embedding, context)
            skips.append(x)
        x = self.middle_block(x, embedding, context)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], 1), embedding, context)
        return self.out[2](F.silu(self.out[0](x)))
