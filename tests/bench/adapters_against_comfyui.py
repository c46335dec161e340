"""What another strength of a LoRA costs, in ComfyUI and in Luna: the same checkpoint and file, one run.

usage: adapters_against_comfyui.py BIN_FOLDER [--rank 16] [--switches 8]     (COMFYUI_DIR, COMFYUI_PYTHON)

ComfyUI: its stock graph with LoraLoaderModelOnly and a KSampler of one step at 64x64; a run with another strength beside
one with another seed. Luna: bench_adapters, which does the same calls. Prints one JSON object.
"""

import argparse
import json
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))
import comfyui_process
import luna_process

PREFIX, LAYERS = "model.diffusion_model.", ("attn1.", "attn2.", ".ff.net.", ".proj_in.", ".proj_out.")


def write_lora(checkpoint, path, rank):
    """Low-rank factors for what is a matrix in the UNet's transformers, kohya's names; returns how many layers."""
    import numpy
    from safetensors.numpy import save_file

    with open(checkpoint, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    random, tensors = numpy.random.default_rng(1), {}
    for name, entry in header.items():
        if not name.startswith(PREFIX) or not name.endswith(".weight") or not any(part in name for part in LAYERS):
            continue
        out, width, *rest = entry["shape"]
        layer = "lora_unet_" + name[len(PREFIX):-len(".weight")].replace(".", "_")
        tensors[f"{layer}.lora_up.weight"] = random.standard_normal((out, rank, *rest), dtype=numpy.float32) * 0.02
        tensors[f"{layer}.lora_down.weight"] = random.standard_normal((rank, width, *rest), dtype=numpy.float32) * 0.02
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.astype(numpy.float16) for name, tensor in tensors.items()}, path)
    return len(tensors) // 2


def comfyui_times(checkout, base, switches):
    def graph(strength, seed):
        made = comfyui_process.text_to_image("wide.safetensors", "a red fox in the snow", "blurry", width=64, height=64,
                                             steps=1, cfg=1.0, sampler="euler", scheduler="normal", seed=seed)
        made["9"] = {"class_type": "LoraLoaderModelOnly", "inputs": {
            "model": ["1", 0], "lora_name": "made.safetensors", "strength_model": strength}}
        made["5"]["inputs"]["model"] = ["9", 0]
        for node in ("6", "7"):  # no decoding
            del made[node]
        return made

    changed, known = [], []
    with comfyui_process.ComfyUI(checkout, base) as comfyui:
        _, first = comfyui.run(graph(0.5, 0))
        for i in range(switches):
            began = time.time()
            comfyui.run(graph(0.6 + 0.01 * i, 2 * i + 1))
            changed.append(time.time() - began)
            began = time.time()
            comfyui.run(graph(0.6 + 0.01 * i, 2 * i + 2))
            known.append(time.time() - began)
    changed, known = 1000 * statistics.median(changed), 1000 * statistics.median(known)
    return dict(first_use_ms=1000 * first, another_strength_ms=changed, known_set_ms=known, switch_ms=changed - known)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--switches", type=int, default=8)
    arguments = parser.parse_args()
    checkout = comfyui_process.require_comfyui()
    programs = arguments.programs.resolve()
    with tempfile.TemporaryDirectory(prefix="luna-bench-") as folder:
        base = pathlib.Path(folder)
        checkpoint = base / "models/checkpoints/wide.safetensors"
        checkpoint.parent.mkdir(parents=True)
        subprocess.run([programs / "luna-make-checkpoint", checkpoint, "--size", "full-width"], check=True)
        layers = write_lora(checkpoint, base / "models/loras/made.safetensors", arguments.rank)
        reference = comfyui_times(checkout, base, arguments.switches)
        with luna_process.LunaDaemon(programs, base / "models", base) as daemon:
            run = subprocess.run([programs / "bench_adapters", "--address", f"unix:{daemon.socket}", "--checkpoint",
                                  "wide.safetensors", "--lora", "made.safetensors", "--switches", str(arguments.switches)],
                                 stdout=subprocess.PIPE, text=True, check=True)
        luna = json.loads(run.stdout)
    print(json.dumps({"layers": layers, "rank": arguments.rank, "switch_ratio_merged": reference["switch_ms"] / luna["merged"]["switch_ms"],
                      "another_strength_ratio_row_wise":
                          reference["another_strength_ms"] / luna["row_wise"]["another_strength_ms"],
                      "comfyui": reference, "luna": luna}, indent=2))


if __name__ == "__main__":
    main()
