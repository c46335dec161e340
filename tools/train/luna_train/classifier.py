"""The judge of generated pictures: a small network that names what a picture shows.

It learns from true pictures of every style and every pair of object and colour, also those that the model never sees:
it must not be better at what the model is good at. Light blur and noise make it used to pictures that are not clean."""

import torch
from torch import nn
from torch.nn import functional as F

from . import drawing
from . import scene as scenes
from .stage import Stage, finished, same_start, seeded
from .vae_stage import to_tensor

SIDE = 64  # pictures are reduced to this
UNSAID = -100
QUESTIONS = {"object": scenes.OBJECTS, "colour": scenes.COLOURS, "position": scenes.POSITIONS,
             "background": scenes.BACKGROUNDS, "style": scenes.STYLES,
             "object2": ("none", *scenes.OBJECTS), "colour2": scenes.COLOURS}


def any_scene(rng):
    """One object or two, of any pair, in any style."""
    def pick(options):
        return options[int(rng.integers(len(options)))]

    def thing(position, size="medium"):
        return scenes.Thing(pick(scenes.OBJECTS), pick(scenes.COLOURS), position, size)

    if rng.random() < 0.3:
        things = tuple(thing(place) for place in pick((("left", "right"), ("top", "bottom"))))
    else:
        things = (thing(pick(scenes.POSITIONS), pick(scenes.SIZES)),)
    return scenes.Scene(things, pick(scenes.BACKGROUNDS), pick(scenes.STYLES), int(rng.integers(1 << 31)))


def in_order(things):
    """Of two things the left or upper one comes first, whatever the caption's order."""
    return sorted(things, key=lambda thing: thing.position in ("right", "bottom") and len(things) > 1)


def answers(scene):
    """What the judge should say, question → answer. Drawings in pencil or two inks have no colours to
    name."""
    first, *others = in_order(scene.things)
    said = {"object": first.object, "position": first.position, "background": scene.background, "style": scene.style,
            "object2": others[0].object if others else "none"}
    if scene.style not in scenes.COLOURLESS:
        said["colour"] = first.colour
        if others:
            said["colour2"] = others[0].colour
    return said


class Judge(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1], any size, to logits by question."""

    def __init__(self, widths=(24, 48, 64, 96), hidden=160):
        super().__init__()
        layers, before = [], 3
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
                       nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
            before = width
        self.trunk = nn.Sequential(*layers)
        self.mix = nn.Linear(before * (SIDE >> len(widths)) ** 2, hidden)
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, len(options)) for name, options in QUESTIONS.items()})

    def forward(self, pixels):
        x = F.interpolate(pixels, (SIDE, SIDE), mode="area")
        x = F.silu(self.mix(self.trunk(x).flatten(1)))
        return {name: head(x) for name, head in self.heads.items()}

    @torch.no_grad()
    def name(self, pixels):
        """One dictionary a picture: question → answer."""
        best = {}
        for part in pixels.split(64):
            for name, logits in self(part).items():
                best.setdefault(name, []).extend(logits.argmax(1).tolist())
        return [{name: QUESTIONS[name][rows[i]] for name, rows in best.items()} for i in range(len(pixels))]


def _spoil(pixels, rng):
    """Blur on half of the pictures, noise on all, contrast a little off."""
    weak = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = torch.from_numpy((rng.random(len(pixels)) * (rng.random(len(pixels)) < 0.5)).astype("float32"))
    share = share.to(pixels.device).view(-1, 1, 1, 1)
    contrast = 1 + 0.1 * torch.from_numpy(rng.uniform(-1, 1, len(pixels)).astype("float32")).to(pixels.device)
    noise = torch.randn_like(pixels) * 0.08 * float(rng.random())
    return (pixels + share * (weak - pixels)) * contrast.view(-1, 1, 1, 1) + noise


def _drawn(rng, count, size, device):
    drawn = [any_scene(rng) for _ in range(count)]
    return drawn, to_tensor([drawing.pixels(scene, size) for scene in drawn], device)


def judge_loss(judge, drawn, pixels, autocast):
    with autocast():
        guesses = judge(pixels)
    loss, right, said = 0.0, 0, 0
    truths = [answers(scene) for scene in drawn]
    for name, options in QUESTIONS.items():
        wanted = torch.tensor([options.index(truth[name]) if name in truth else UNSAID for truth in truths],
                              device=pixels.device)
        if (wanted != UNSAID).any():
            loss = loss + F.cross_entropy(guesses[name].float(), wanted, ignore_index=UNSAID)
        right += ((guesses[name].argmax(1) == wanted) & (wanted != UNSAID)).sum()
        said += (wanted != UNSAID).sum()
    return loss, {"right": right / said}


def finished_judge(preset, folder):
    judge = Judge().eval().requires_grad_(False)
    judge.load_state_dict(finished(folder, "judge", preset.judge_steps)["judge"])
    return judge


def train_judge(preset, folder, device, workers, autocast):
    same_start(preset.seed, "judge")
    judge = Judge().to(device)
    stage = Stage("judge", folder, {"judge": judge}, preset.judge_steps, 2e-3, device, workers, preset.seed)
    batch = max(1, preset.judge_batch // workers.count)

    def loss(_, rng):
        drawn, pixels = _drawn(rng, batch, preset.size, device)
        return judge_loss(judge, drawn, _spoil(pixels, rng), autocast)

    stage.run(loss)


@torch.no_grad()
def judge_accuracy(judge, preset, device, count=512):
    """Question → share of right answers on fresh true pictures of every kind."""
    drawn, pixels = _drawn(seeded(preset.seed, 994), count, preset.size, device)
    right, said = dict.fromkeys(QUESTIONS, 0), dict.fromkeys(QUESTIONS, 0)
    for scene, named in zip(drawn, judge.name(pixels)):
        for name, truth in answers(scene).items():
            right[name] += named[name] == truth
            said[name] += 1
    return {name: right[name] / max(1, said[name]) for name in QUESTIONS}
