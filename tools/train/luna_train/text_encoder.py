"""CLIP-L-shaped text encoder (transformers' CLIPTextModel), at a width of our own."""

import torch
from torch import nn

from .layers import attend

TOKENS, VOCABULARY, END = 77, 49408, 49407


class _Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, causal=True))


class _Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class _Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.layer_norm1, self.self_attn = nn.LayerNorm(width), _Attention(width, heads)
        self.layer_norm2, self.mlp = nn.LayerNorm(width), _Mlp(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class _Embeddings(nn.Module):
    def __init__(self, width, used):
        super().__init__()
        self.token_embedding = nn.Embedding(len(used), width)
        self.position_embedding = nn.Embedding(TOKENS, width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding.weight, std=0.01)
        row = torch.zeros(VOCABULARY, dtype=torch.long)
        row[torch.tensor(used)] = torch.arange(len(used))
        self.register_buffer("row", row, persistent=False)

    def forward(self, tokens):
        return self.token_embedding(self.row[tokens]) + self.position_embedding.weight[: tokens.shape[1]]


class _Encoder(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))


class TextEncoder(nn.Module):
    """Token ids [B, N] to hidden states [B, N, width] after the last norm. Holds rows for the `used` tokens only; the
    whole table is made when it is written (export.py)."""

    def __init__(self, used, width=64, heads=4, layers=4):
        super().__init__()
        self.used, self.width, self.heads = list(used), width, heads
        self.embeddings = _Embeddings(width, self.used)
        self.encoder = _Encoder(width, heads, layers)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens):
        return self.encode(self.embeddings(tokens))

    def encode(self, x):
        """The same from embedded tokens [B, N, width], their positions added."""
        for layer in self.encoder.layers:
            x = layer(x)
        return self.final_layer_norm(x)
