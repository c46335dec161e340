"""Stage 9: two vectors in place of a word (textual inversion, Gal et al. 2022), everything else frozen.

The concept is a composition that takes a whole sentence of captions: a yellow moon above a white boat at night."""

import torch
from torch import nn

from .diffusion import alpha_bars
from .lora_stage import finished_base
from .scene import Scene, Thing
from .stage import Stage, finished
from .text_encoder import END
from .tokens import tokenize
from .unet_stage import denoising_loss, load_latents

NAME, VECTORS = "luna-moonrise", 2
LATENTS = "concept-latents"
FIRST_WORDS = ("moon", "boat")  # where the two vectors start
AROUND = (("", ""), ("a", ""), ("", "at night"))


def concept_scene(rng, _=None):
    things = (Thing("moon", "yellow", "top"), Thing("boat", "white", "bottom"))
    return Scene(things, "night", "flat", int(rng.integers(1 << 31)))


class Embedding(nn.Module):
    def __init__(self, vectors):
        super().__init__()
        self.vectors = nn.Parameter(vectors.clone())

    @classmethod
    def starting_in(cls, text):
        words = tokenize(FIRST_WORDS, 3)[:, 1]
        return cls(text.embeddings.token_embedding.weight[text.embeddings.row[words]].detach())


class WithEmbedding:
    """Stands for the text encoder. `places`, one a row: where the vectors replace tokens, 0: nowhere."""

    def __init__(self, text, embedding):
        self.text, self.embedding, self.places = text, embedding, None

    def __call__(self, tokens):
        table, vectors = self.text.embeddings, self.embedding.vectors
        rows = []
        for row, place in zip(table(tokens), self.places):
            if place:
                after = place + len(vectors)
                row = torch.cat([row[:place], vectors + table.position_embedding.weight[place:after], row[after:]])
            rows.append(row)
        return self.text.encode(torch.stack(rows))


def prompts_with(rng, count):
    """Tokens [count, 77] with room for the vectors, and where it is; one in ten is empty."""
    rows, places = [], []
    for _ in range(count):
        before, after = AROUND[int(rng.integers(len(AROUND)))]
        head, tail = (tokenize([words])[0] for words in (before, after))
        place = int((head == END).int().argmax())
        row = torch.cat([head[:place], head.new_full((VECTORS,), END), tail[1:]])[:len(head)]
        if rng.random() < 0.1:
            row, place = tokenize([""])[0], 0
        rows.append(row)
        places.append(place)
    return torch.stack(rows), places


def finished_embedding(preset, folder):
    """[vectors, width]."""
    return finished(folder, "embedding", preset.embedding_steps)["embedding"]["vectors"]


def train_embedding(preset, folder, device, workers, autocast):
    unet, text = (part.to(device) for part in finished_base(preset, folder))
    embedding = Embedding.starting_in(text).to(device)
    stage = Stage("embedding", folder, {"embedding": embedding}, preset.embedding_steps, 5e-3, device, workers,
                  preset.seed, decay=0.99, weight_decay=0.0)
    latents, _ = load_latents(folder, LATENTS)
    bars, states = alpha_bars().to(device), WithEmbedding(text, embedding)

    def loss(_, rng):
        rows = rng.integers(0, len(latents), max(1, preset.unet_batch // workers.count))
        tokens, states.places = prompts_with(rng, len(rows))
        return denoising_loss(unet, states, latents[rows].float().to(device), tokens.to(device), bars, autocast)

    stage.run(loss)
