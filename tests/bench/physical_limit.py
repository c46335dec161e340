"""The floor under a picture's time on this CPU: its multiplications, and how fast the same libtorch multiplies matrices.

usage: physical_limit.py [--size N] [--steps N]     (COMFYUI_DIR, in a Python with ComfyUI's requirements)
Counts the full-width checkpoint of luna-make-checkpoint (SD1.5 widths, one UNet block a level) in ComfyUI's own modules.
"""

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))
import comfyui_process

comfyui_process.require_comfyui()

import torch
from models_make_fixtures import comfy_unet, comfy_vae
from torch.utils.flop_counter import FlopCounterMode


def flops_of(call):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def matmul_peak(size=3072):
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    cells = arguments.size // 8
    unet, _ = comfy_unet(320, [1, 2, 4, 4], [1, 1, 1, 1], [1, 1, 1, 0], 1, 768)
    step = flops_of(lambda: unet(torch.zeros(2, 4, cells, cells), torch.zeros(2), torch.zeros(2, 77, 768)))
    del unet
    vae, _ = comfy_vae(128, [1, 2, 4, 4], 2)
    decode = flops_of(lambda: vae.first_stage_model.decode(torch.zeros(1, 4, cells, cells)))
    peak = matmul_peak()
    total = arguments.steps * step + decode
    print(json.dumps({
        "matmul_gflops_per_s": peak / 1e9, "gflop_per_step_both_signs": step / 1e9, "gflop_decode": decode / 1e9,
        "least_seconds_per_picture": total / peak, "most_pictures_per_s": peak / total,
        "size": arguments.size, "steps": arguments.steps}, indent=2))


if __name__ == "__main__":
    main()
