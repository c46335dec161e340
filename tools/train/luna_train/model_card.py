"""models/README.md: what the files are, and how they were made, from the training's own log."""

import json
import pathlib

from . import machine

PURPOSE = {
    "checkpoints/": "text to image: UNet, text encoder and VAE in SD1.5's single-file layout, fp16",
    "vae/": "the same VAE alone",
    "loras/": "a style, kohya format, rank 8, no trigger word",
    "embeddings/": "textual inversion: a yellow moon above a white boat at night",
    "vae_approx/": "previews while sampling, TAESD's layout at half its width",
    "upscale_models/": "4× upscaler, ESRGAN's RRDBNet",
}


def read_log(folder):
    """The last line of each stage, in the order of their first ones; the machines that took part."""
    stages, machines = {}, []
    path = pathlib.Path(folder) / "log.jsonl"
    for text in path.read_text().splitlines() if path.exists() else ():
        line = json.loads(text)
        if "machine" in line:
            machines.append(line["machine"])
        elif "stage" in line:
            stages[line["stage"]] = line
    return stages, list(dict.fromkeys(machines))


def _figures(line):
    return ", ".join(f"{name} {value:.4g}" for name, value in line.items()
                     if name not in ("stage", "step", "of", "seconds"))


def model_card(preset, folder, written, description):
    stages, machines = read_log(folder)
    lines = ["# Models", "", description, "", "| file | MiB | what |", "|---|---:|---|"]
    for file in written:
        what = next(text for start, text in PURPOSE.items() if file.path.startswith(start))
        lines.append(f"| `{file.path}` | {file.bytes / 2**20:.2f} | {what} |")
    lines += ["", "## Training", "",
              f"`python tools/train/train.py --preset {preset.name} --state DIR` made them all, seed {preset.seed}, "
              f"pictures of {preset.size}×{preset.size}.",
              f"Hardware: {'; '.join(machines) or machine.describe()}.", "",
              "| stage | steps | seconds | last figures (means of the last lines of the log) |", "|---|---:|---:|---|"]
    lines += [f"| {name} | {line['step']} of {line['of']} | {line['seconds']} | {_figures(line)} |"
              for name, line in stages.items()]
    hours = sum(line["seconds"] for line in stages.values()) / 3600
    lines += ["", f"Together {hours:.2f} hours; the latents, which are computed once, come on top.", "",
              "## Limits", "",
              "It knows the words of its captions (tools/train/luna_train/scene.py) and no others. One object of each "
              "kind lacks one colour in training; docs/model-report.md measures those pairs.", "", "## Licence", "",
              "Trained from random numbers, only on pictures and captions that this project drew and wrote itself; no "
              "other pictures, texts or weights went into the files, CLIP's list of tokens apart. They may be used as "
              "the rest of this repository.", ""]
    return "\n".join(lines)
