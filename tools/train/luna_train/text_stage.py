"""Stage 1: the text encoder learns to understand captions before any picture is drawn.

Heads on the hidden state of the end token name everything that the caption says; so the UNet starts from an encoder
that binds colours and places to objects. The heads are thrown away."""

import torch
from torch import nn
from torch.nn import functional as F

from . import scene as scenes
from .stage import Stage, same_start
from .text_encoder import TextEncoder
from .tokens import tokenize, used_tokens

LENGTH = 40  # more than the longest caption; a causal encoder gives the same states for the first 40 of 77
UNSAID = -100
QUESTIONS = {"object": scenes.OBJECTS, "colour": scenes.COLOURS, "position": scenes.POSITIONS, "size": scenes.SIZES,
             "count": scenes.COUNTS, "object2": ("none", *scenes.OBJECTS), "colour2": scenes.COLOURS,
             "position2": scenes.POSITIONS, "background": scenes.BACKGROUNDS, "style": scenes.STYLES}


def make_text_encoder(preset):
    return TextEncoder(used_tokens(), preset.text_width, preset.text_heads, preset.text_layers)


class Heads(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(answers)) for name, answers in QUESTIONS.items()})

    def forward(self, states):
        return {name: head(states) for name, head in self.heads.items()}


def _answers(scene):
    first = scene.things[0]
    answers = {"object": first.object, "colour": first.colour, "position": first.position, "size": first.size,
               "count": first.count, "background": scene.background, "style": scene.style, "object2": "none"}
    if len(scene.things) > 1:
        second = scene.things[1]
        answers |= {"object2": second.object, "colour2": second.colour, "position2": second.position}
    return [QUESTIONS[name].index(answers[name]) if name in answers else UNSAID for name in QUESTIONS]


def text_loss(encoder, heads, rng, batch, device):
    drawn = [scenes.random_scene(rng, (0.6, 0.2, 0.2), two_objects=0.35) for _ in range(batch)]
    tokens = tokenize([scenes.caption(scene, rng) for scene in drawn], LENGTH).to(device)
    end = (tokens == tokens.new_tensor(encoder.used[-1])).int().argmax(1)
    states = encoder(tokens)[torch.arange(batch, device=device), end]
    truth = torch.tensor([_answers(scene) for scene in drawn], device=device)
    loss, right, said = 0.0, 0, 0
    for column, guess in enumerate(heads(states).values()):
        wanted = truth[:, column]
        loss = loss + F.cross_entropy(guess, wanted, ignore_index=UNSAID)
        right += ((guess.argmax(1) == wanted) & (wanted != UNSAID)).sum()
        said += (wanted != UNSAID).sum()
    return loss, {"right": right / said}


def train_text(preset, folder, device, workers):
    same_start(preset.seed, "text")
    encoder = make_text_encoder(preset).to(device)
    heads = Heads(preset.text_width).to(device)
    stage = Stage("text", folder, {"text": encoder, "heads": heads}, preset.text_steps, 2e-3, device, workers, preset.seed)
    stage.run(lambda _, rng: text_loss(encoder, heads, rng, 128 // workers.count, device))
