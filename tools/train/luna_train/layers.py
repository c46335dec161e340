"""What the three networks share; attribute names give SD1.5's tensor names."""

import torch
from torch import nn
from torch.nn import functional as F


def attend(query, key, value, heads, causal=False):
    """[B, N, C] each, C divided among the heads."""
    batch, length, channels = query.shape
    query, key, value = (x.view(batch, -1, heads, channels // heads).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    return out.transpose(1, 2).reshape(batch, length, channels)


class Numbered(nn.Module):
    """Sub-modules under the numbers that the reference's Sequential gave them; gaps stand for layers without weights."""

    def __init__(self, modules):
        super().__init__()
        for number, module in modules.items():
            self.add_module(str(number), module)

    def __getitem__(self, number):
        return self._modules[str(number)]

    def __contains__(self, number):
        return str(number) in self._modules

    def __len__(self):
        return len(self._modules)
