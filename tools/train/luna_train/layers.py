"""What the three networks share; attribute names give SD1.5's tensor names."""

import torch
from torch import nn
from torch.nn import functional as F


def attend(query, key, value, heads, causal=False):
    """[B, N, C] each, C divided among the heads.

    On a CPU the weights are written out: at these sizes the backward pass of PyTorch's fused kernel there takes
    two thirds of a whole training step."""
    batch, length, channels = query.shape
    query, key, value = (x.view(batch, -1, heads, channels // heads).transpose(1, 2) for x in (query, key, value))
    if query.is_cuda:
        out = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    else:
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if causal:
            scores = scores + torch.full((length, length), float("-inf")).triu(1).to(scores.dtype)
        out = scores.softmax(-1).to(value.dtype) @ value
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
