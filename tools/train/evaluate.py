"""Measures the trained model and writes docs/model-report.md: python tools/train/evaluate.py --state DIR

Pictures are made by Luna from the files below models/, scored by the judge in the training's state folder.
--quick N makes N pictures with the PyTorch sampler instead, also while the UNet still trains, and writes no report."""

import argparse
import contextlib
import dataclasses
import os
import pathlib

import torch

from luna_train import luna_command, measures
from luna_train.classifier import finished_judge
from luna_train.contact_sheet import contact_sheet
from luna_train.model_report import TARGETS, in_words, report
from luna_train.preset import PRESETS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def show(rows):
    for row in rows:
        value, chance, target = (in_words(number, row.unit) for number in (row.value, row.shuffled, row.target))
        print(f"{row.what:52} {value:>9}  chance {chance:>7}  target {target:>9}", flush=True)


def write_sheets(sheets, folder):
    for sheet in sheets:
        contact_sheet(sheet.pictures, sheet.captions, sheet.columns, folder / f"model-{sheet.name}.webp",
                      min(128, sheet.pictures[0].shape[0]))


def quick(preset, state, device, count, pictures):
    judge = finished_judge(preset, state).to(device)
    make = measures.Pytorch(dataclasses.replace(preset, unet_steps=0), state, device)
    rows, sheet = measures.single_objects(make, judge, preset, device, count, TARGETS.get(preset.name, TARGETS["cpu"]))
    show(rows)
    write_sheets([sheet], pictures)
    print(f"sheet: {pictures / f'model-{sheet.name}.webp'}")


def full(preset, state, device, count, make, pictures, report_path):
    targets = TARGETS.get(preset.name, TARGETS["cpu"])
    judge = finished_judge(preset, state).to(device)
    rows, sheets = [], []
    for part, shown in (measures.single_objects(make, judge, preset, device, count, targets),
                        measures.two_objects(make, judge, preset, device, count // 2, targets),
                        measures.concept(make, judge, preset, device, min(16, count)),
                        measures.styles(make, judge, preset, device, count // 2, targets),
                        (measures.fidelity(judge, preset, state, device, targets), [])):
        show(part)
        rows += part
        sheets += shown if isinstance(shown, list) else [shown]
    write_sheets(sheets, pictures)
    report_path.parent.mkdir(parents=True, exist_ok=True)
    beside = os.path.relpath(pictures, report_path.parent)
    report_path.write_text(report(preset, count, make.how, rows, sheets, beside))
    print(f"report: {report_path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="the one that the state was trained with")
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder of train.py's states")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "models")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="folder of luna and lunad")
    parser.add_argument("--address", help="a running daemon; default: one is started over --models")
    parser.add_argument("--count", type=int, default=200, help="prompts")
    parser.add_argument("--quick", type=int, metavar="N", help="only look: N pictures without Luna")
    parser.add_argument("--report", type=pathlib.Path, default=ROOT / "docs/model-report.md")
    parser.add_argument("--pictures", type=pathlib.Path,
                        help="folder of the sheets (default: docs/pictures; with --quick: the state's)")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    preset = PRESETS[arguments.preset]
    if arguments.quick:
        return quick(preset, arguments.state, device, arguments.quick, arguments.pictures or arguments.state)
    with (contextlib.nullcontext(arguments.address) if arguments.address
          else luna_command.daemon(arguments.bin, arguments.models)) as address:
        full(preset, arguments.state, device, arguments.count, measures.Luna(arguments.bin, address, preset.size),
             arguments.pictures or ROOT / "docs/pictures", arguments.report)


if __name__ == "__main__":
    main()
