"""The figures of the report, one function each; each gives rows for a table and what a contact sheet shows."""

import dataclasses

from . import embedding_stage, luna_command
from .classifier import judge_accuracy
from .contact_sheet import to_arrays
from .generation import make_pictures
from .judging import ASKED, against_shuffled, rights
from .lora_stage import STYLE_SHARES, file_name, finished_base
from .preview_stage import finished_preview, preview_psnr
from .scene import BACKGROUNDS, HELD_OUT_PAIRS, Scene, Thing, caption, held_out_scene
from .stage import seeded
from .unet_stage import finished_vae
from .upscaler_stage import finished_upscaler, upscaler_psnr
from .vae_stage import held_out_psnr, to_tensor

TWO_ASKED = ("object", "colour", "object2", "colour2", "position", "background")


@dataclasses.dataclass(frozen=True)
class Row:
    """target: the least value that is right, None where none was asked. unit: "%" for shares from 0 to 1, or "dB"."""

    what: str
    value: float
    shuffled: float | None = None
    target: float | None = None
    unit: str = "%"


@dataclasses.dataclass(frozen=True)
class Sheet:
    name: str
    pictures: list
    captions: list
    columns: int


def held_out_prompts(seed, count, kind=995):
    """Scenes in combinations of object and colour that training never drew, and complete captions."""
    rng = seeded(seed, kind)
    drawn = [held_out_scene(rng) for _ in range(count)]
    return drawn, [caption(scene, rng, complete=True) for scene in drawn]


def two_object_prompts(seed, count):
    """Two objects, both in such combinations."""
    rng, drawn = seeded(seed, 996), []
    for _ in range(count):
        places = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))[int(rng.integers(4))]
        pairs = (HELD_OUT_PAIRS[int(rng.integers(len(HELD_OUT_PAIRS)))] for _ in places)
        things = tuple(Thing(*pair, position=place) for pair, place in zip(pairs, places))
        drawn.append(Scene(things, BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]))
    return drawn, [caption(scene, rng, complete=True) for scene in drawn]


class Pytorch:
    """Makes pictures with this package's own sampler."""

    how = "this package's DDIM, 20 steps, guidance 4"

    def __init__(self, preset, folder, device):
        (self.unet, self.text), self.vae = finished_base(preset, folder), finished_vae(preset, folder)
        for part in (self.unet, self.text, self.vae):
            part.to(device)
        self.size = preset.size

    def __call__(self, captions, seed=0):
        return to_arrays(make_pictures(self.unet, self.text, self.vae, captions, self.size, seed=seed))


class Luna:
    """Makes pictures with a daemon."""

    how = f"`luna generate {' '.join(luna_command.SAMPLING)}`"

    def __init__(self, programs, address, size):
        self.programs, self.address, self.size = programs, address, size

    def __call__(self, captions, seed=0, flags=()):
        return luna_command.make_pictures(self.programs, self.address, captions, self.size, seed, flags)


def named(judge, pictures, device):
    return judge.name(to_tensor(pictures, device))


def single_objects(make, judge, preset, device, count, targets):
    drawn, captions = held_out_prompts(preset.seed, count)
    pictures = make(captions, seed=1000)
    right, shuffled = against_shuffled(named(judge, pictures, device), drawn)
    rows = [Row(what, right[what], shuffled[what], targets.get(what)) for what in (*ASKED, "all")]
    return rows, Sheet("held-out", pictures[:32], captions[:32], 8)


def two_objects(make, judge, preset, device, count, targets):
    drawn, captions = two_object_prompts(preset.seed, count)
    pictures = make(captions, seed=5000)
    seen = named(judge, pictures, device)
    objects = against_shuffled(seen, drawn, ("object", "object2"))
    everything = against_shuffled(seen, drawn, TWO_ASKED)
    rows = [Row("two objects, both right", objects[0]["all"], objects[1]["all"], targets.get("two")),
            Row("two objects: objects, colours, places, background", everything[0]["all"], everything[1]["all"])]
    return rows, Sheet("two-objects", pictures[:24], captions[:24], 8)


def styles(make, judge, preset, device, count, targets):
    """Each LoRA on captions that do not name its style; a sheet of three strengths, the same noise in each column.
    Only Luna applies the files."""
    rows, sheets = [], []
    for style in STYLE_SHARES:
        drawn, captions = held_out_prompts(preset.seed, count, 997)
        drawn = [dataclasses.replace(scene, style=style) for scene in drawn]

        def with_strength(strength, texts):
            return make(texts, seed=9000, flags=("--lora", f"{file_name(style)}:{strength}"))

        pictures = with_strength(1, captions)
        right, shuffled = against_shuffled(named(judge, pictures, device), drawn, ("style", "object"))
        plain, middle = with_strength(0, captions[:8]), with_strength(0.5, captions[:8])
        unstyled = rights(named(judge, plain, device), drawn[:8], ("style",))
        rows += [Row(f"LoRA {style}: style recognised", right["style"], unstyled["style"], targets["style"]),
                 Row(f"LoRA {style}: object right", right["object"], shuffled["object"])]
        shown = [*plain, *middle, *pictures[:8]]
        labels = [f"{strength}: {text}" for strength in (0, 0.5, 1) for text in captions[:8]]
        sheets.append(Sheet(f"lora-{style}", shown, labels, len(plain)))
    return rows, sheets


def concept(make, judge, preset, device, count):
    """The embedding alone as a prompt. Only Luna reads it as a file."""
    rng = seeded(preset.seed, 998)
    drawn = [embedding_stage.concept_scene(rng) for _ in range(count)]
    captions = [f"embedding:{embedding_stage.NAME}"] * count
    pictures = make(captions, seed=7000)
    right = rights(named(judge, pictures, device), drawn, TWO_ASKED)
    rows = [Row(f"embedding: {what}", right[what]) for what in (*TWO_ASKED, "all")]
    return rows, Sheet("embedding", pictures[:8], captions[:8], 8)


def fidelity(judge, preset, folder, device, targets):
    """What does not need the UNet: the VAE, the preview decoder, the upscaler, the judge itself."""
    vae = finished_vae(preset, folder).to(device)
    rows = [Row("VAE, held out", held_out_psnr(vae, preset, device), None, targets["vae"], "dB")]
    preview, decoded = preview_psnr(finished_preview(preset, folder).to(device), vae, preset, device)
    rows += [Row("preview decoder", preview, None, decoded - 3, "dB")]
    ours, lanczos = upscaler_psnr(finished_upscaler(preset, folder).to(device), preset, device)
    rows += [Row("upscaler 4×", ours, None, lanczos + 2, "dB"), Row("Lanczos 4×", lanczos, unit="dB")]
    return rows + [Row(f"judge on true pictures: {name}", share)
                   for name, share in judge_accuracy(judge, preset, device).items()]
