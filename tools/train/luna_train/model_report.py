"""docs/model-report.md: every figure beside its target and beside chance."""

from .measures import Row

# The least that is right, by preset: what was asked of a model trained on CPU cores, and on a GPU.
TARGETS = {
    "cpu": {"colour": 0.95, "background": 0.90, "object": 0.75, "position": 0.60, "vae": 28.0, "style": 0.90},
    "gpu": {"colour": 0.98, "object": 0.95, "position": 0.90, "two": 0.70, "vae": 32.0, "style": 0.90},
}


def in_words(value, unit):
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.2f} {unit}"


def _line(row: Row):
    met = "" if row.target is None else ("yes" if row.value >= row.target else "**no**")
    target = "" if row.target is None else f"≥ {in_words(row.target, row.unit)}"
    return f"| {row.what} | {in_words(row.value, row.unit)} | {in_words(row.shuffled, row.unit)} | {target} | {met} |"


def report(preset, count, how, rows, sheets, pictures):
    lines = ["# What the trained model can do", "",
             f"Made by `python tools/train/evaluate.py --preset {preset.name} --state DIR`. {count} prompts in "
             "combinations of object and colour that training never drew, pictures of "
             f"{preset.size}×{preset.size} by {how}, "
             "named by a judge that learned from true pictures of every style (luna_train/classifier.py).", "",
             "Chance: the same pictures scored against shuffled captions; for a LoRA's style, pictures at strength 0.", "",
             "| | value | chance | target | met |", "|---|---:|---:|---:|---|", *map(_line, rows), ""]
    for sheet in sheets:
        lines += [f"![{sheet.name}]({pictures}/model-{sheet.name}.webp)", ""]
    return "\n".join(lines)
