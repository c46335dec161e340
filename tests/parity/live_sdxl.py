"""Whole pictures of SDXL's layouts from an unmodified ComfyUI's /prompt and from lunad: text conditioning, latents and
pixels. Limits: 1e-4, 1e-3, and 3/255 anywhere.

usage: live_sdxl.py BIN_FOLDER KIND [KIND ...] [--folder FOLDER] [--precision f32|f16] [--size 256]

KIND is one of sdxl_checkpoint.py's. Files of 3 to 7 GB are written to FOLDER (default: a temporary one) and removed;
ComfyUI and lunad run one after the other, on the CPU, in f32. With --precision f16 Luna keeps the weights as the file
has them and computes in f32: the same numbers in half the memory.

Needs COMFYUI_DIR and COMFYUI_PYTHON, whose Python has grpcio and grpcio-tools.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import comfyui_process
import luna_process
import luna_rpc
import sdxl_checkpoint

HERE = pathlib.Path(__file__).resolve().parent
POSITIVE, OTHER, NEGATIVE = "a red fox in the snow, (sharp:1.3)", "oil on canvas, " * 40, "blurry"
RUN = dict(steps=3, cfg=5.0, sampler="euler", scheduler="normal", seed=42)
SIZES = dict(width=1216, height=832, crop_w=24, crop_h=8, target_width=1024, target_height=768)
LIMITS = dict(conditioning=1e-4, latent=1e-3, pixels=3)


def conditioning_of_comfyui(checkpoint, out):
    """Runs in a process of its own: what ComfyUI's encoders make of the prompts."""
    sys.argv = sys.argv[:1]
    sys.path.insert(0, os.environ["COMFYUI_DIR"])
    import comfy.cli_args

    comfy.cli_args.args.cpu = comfy.cli_args.args.fp32_text_enc = True
    import comfy.sd
    from safetensors.torch import save_file

    _, clip, *_ = comfy.sd.load_checkpoint_guess_config(checkpoint, output_model=False, output_vae=False)
    tensors = {}
    for name, text in (("positive", POSITIVE), ("other", OTHER), ("negative", NEGATIVE)):
        cross_attn, pooled = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)
        tensors[f"{name}.cross_attn"], tensors[f"{name}.pooled"] = cross_attn.contiguous(), pooled.contiguous()
    save_file(tensors, out)


def graphs(kind, checkpoint, size):
    """By name: usual text encoding; and, where there are two encoders, a text for each and sizes."""
    usual = comfyui_process.text_to_image(checkpoint, POSITIVE, NEGATIVE, width=size, height=size, **RUN)
    if kind == "refiner":
        return {"usual": usual}
    sized = comfyui_process.text_to_image(checkpoint, POSITIVE, NEGATIVE, width=size + 64, height=size, **RUN)
    for node, g, l in (("2", POSITIVE, OTHER), ("3", NEGATIVE, NEGATIVE)):
        sized[node] = {"class_type": "CLIPTextEncodeSDXL", "inputs": {"clip": ["1", 1], "text_g": g, "text_l": l, **SIZES}}
    return {"usual": usual, "sizes": sized}


def reference(kind, checkout, base, checkpoint, size):
    import numpy
    from PIL import Image
    from safetensors.numpy import load_file

    subprocess.run([sys.executable, "-B", __file__, "--conditioning", checkpoint, base / "conditioning.safetensors"],
                   check=True, cwd=HERE)
    results = {"conditioning": load_file(base / "conditioning.safetensors")}
    with comfyui_process.ComfyUI(checkout, base) as comfyui:
        for name, graph in graphs(kind, checkpoint.name, size).items():
            outputs, seconds = comfyui.run(graph)
            picture = Image.open(comfyui.output_file(outputs["7"]["images"][0])).convert("RGB")
            latent = load_file(comfyui.output_file(outputs["8"]["latents"][0]))["latent_tensor"][0]
            results[name] = (latent, numpy.asarray(picture, dtype=numpy.int32), seconds)
    return results


def joined(workflow, text_g, text_l):
    """As CLIPTextEncodeSDXL: a text for each encoder, the shorter filled with empty chunks."""
    g, l, empty = (workflow.tokens(text) for text in (text_g, text_l, ""))
    chunks = {"g": list(g["g"].chunks), "l": list(l["l"].chunks)}
    longest = max(len(found) for found in chunks.values())
    types = workflow.pb["primitives"]
    return {name: types.TokenChunks(chunks=found + list(empty[name].chunks) * (longest - len(found)))
            for name, found in chunks.items()}


def compare(kind, programs, base, checkpoint, size, precision, expected):
    import numpy

    def apart(found, wanted):
        return float(numpy.linalg.norm(found - wanted) / numpy.linalg.norm(wanted))

    report = dict(kind=kind, size=size, precision=precision)
    with luna_process.LunaDaemon(programs, base / "models", base) as daemon:
        workflow = luna_rpc.Workflow(daemon.socket, checkpoint.name, precision)
        report["found"] = workflow.families()
        encoded = {name: workflow.encode(text) for name, text in
                   (("positive", POSITIVE), ("other", OTHER), ("negative", NEGATIVE))}
        report["conditioning"] = max(
            apart(found, expected["conditioning"][f"{name}.{part}"])
            for name, pair in encoded.items() for part, found in zip(("cross_attn", "pooled"), pair))
        cases = {"usual": (encoded["positive"], encoded["negative"], size, None)}
        if "sizes" in expected:
            cases["sizes"] = (workflow.encode(tokens=joined(workflow, POSITIVE, OTHER)),
                              workflow.encode(tokens=joined(workflow, NEGATIVE, NEGATIVE)), size + 64, SIZES)
        for name, (positive, negative, width, numbers) in cases.items():
            latent = workflow.sample(positive, negative, width=width, height=size, numbers=numbers, **RUN)
            pixels = (numpy.clip(workflow.decode(latent), 0, 1) * 255).astype(numpy.int32)
            wanted_latent, wanted, seconds = expected[name]
            report[name] = dict(latent=apart(latent, wanted_latent), pixels=int(numpy.abs(pixels - wanted).max()),
                                spread=int(wanted.max() - wanted.min()), deviation=round(float(wanted.std()), 1),
                                reference_seconds=round(seconds, 1))
    cases = [report[name] for name in cases]
    passed = report["conditioning"] <= LIMITS["conditioning"] and all(
        case["latent"] <= LIMITS["latent"] and case["pixels"] <= LIMITS["pixels"] and case["deviation"] > 5 for case in cases)
    if len(cases) == 2:
        report["sizes_matter"] = apart(expected["sizes"][0][:, :, :size // 8], expected["usual"][0])
    report["verdict"] = "ok" if passed else "FAILED"
    return report


def main():
    if sys.argv[1:2] == ["--conditioning"]:
        return conditioning_of_comfyui(sys.argv[2], sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path, metavar="BIN_FOLDER")
    parser.add_argument("kinds", nargs="+", choices=list(sdxl_checkpoint.KINDS))
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--precision", default="f32", choices=("f32", "f16"))
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    checkout = comfyui_process.require_comfyui()
    if not luna_rpc.is_available():
        print("SKIPPED: this Python has no grpcio and grpcio-tools")
        sys.exit(comfyui_process.SKIPPED)
    failed = False
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory(prefix="luna-sdxl-", dir=arguments.folder) as folder:
            base = pathlib.Path(folder)
            checkpoint = base / "models/checkpoints" / f"{kind}.safetensors"
            subprocess.run([sys.executable, "-B", HERE / "sdxl_checkpoint.py", kind, checkpoint], check=True)
            expected = reference(kind, checkout, base, checkpoint, arguments.size)
            report = compare(kind, arguments.programs.resolve(), base, checkpoint, arguments.size, arguments.precision,
                             expected)
            print(json.dumps(report), flush=True)
            failed = failed or report["verdict"] != "ok"
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
