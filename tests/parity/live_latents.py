"""Final latents of every sampler x scheduler, live: ComfyUI's own code in this process against `luna generate`
through a real lunad; at most 1e-3 of relative error anywhere.

Both load the same file, a small SD1.5 with made-up weights, and start from the same words: tokens, text encoding,
noise, sampling and, where a case starts from a picture, VAE encoding are each side's own. A case is one line of JSON.

usage: live_latents.py BIN_FOLDER [--write docs/parity.md]     (COMFYUI_DIR, COMFYUI_PYTHON)
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time

import comfyui_process
import luna_process

LIMIT = 1e-3
SAMPLERS = ["euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_sde", "dpmpp_2m_sde", "lcm", "ddim", "uni_pc"]
SCHEDULERS = ["normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta", "linear_quadratic",
              "kl_optimal"]
POSITIVE = "a red fox in the snow, (sharp focus:1.3), golden hour"
NEGATIVE = "blurry, (text:0.7)"
# The shape of luna-make-checkpoint --size full-depth: text (width, layers, heads), VAE (channels, mult, blocks).
SIZE, TEXT, VAE = "full-depth", (64, 12, 1), (32, [1, 2, 4, 4], 2)
UNET = dict(context_dim=64, model_channels=32)
BASE = dict(width=128, height=128, steps=20, cfg=7.0, seed=42, batch=1, denoise=1.0)


def grid():
    return {f"{sampler}/{scheduler}": dict(BASE, sampler=sampler, scheduler=scheduler)
            for sampler in SAMPLERS for scheduler in SCHEDULERS}


def others():
    """Batches, pictures to start from, masks, another size and a large seed."""
    cases = {}
    for sampler in ("euler_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "lcm"):
        cases[f"batch of 2: {sampler}/karras"] = dict(BASE, sampler=sampler, scheduler="karras", batch=2)
    for sampler, scheduler in (("euler", "normal"), ("dpmpp_2m_sde", "karras"), ("ddim", "ddim_uniform"),
                               ("uni_pc", "beta")):
        case = dict(BASE, sampler=sampler, scheduler=scheduler, denoise=0.6, image=True)
        cases[f"image, denoise 0.6: {sampler}/{scheduler}"] = case
        cases[f"image and mask, denoise 0.6: {sampler}/{scheduler}"] = dict(case, mask=True)
    cases["image and mask, batch of 2: euler_ancestral/normal"] = dict(
        BASE, sampler="euler_ancestral", scheduler="normal", denoise=0.6, image=True, mask=True, batch=2)
    cases["mask, denoise 1: euler/normal"] = dict(BASE, sampler="euler", scheduler="normal", image=True, mask=True)
    cases["192x136, seed 2^63+12345: dpmpp_2m_sde/exponential"] = dict(
        BASE, sampler="dpmpp_2m_sde", scheduler="exponential", width=192, height=136, seed=2**63 + 12345)
    inpaint = dict(BASE, sampler="euler", scheduler="normal", inpaint=True)
    cases["inpainting model, words alone: euler/normal"] = inpaint
    cases["inpainting model, image, denoise 0.6: euler/normal"] = dict(inpaint, image=True, denoise=0.6)
    cases["inpainting model, image and mask: euler/normal"] = dict(inpaint, image=True, mask=True)
    cases["inpainting model, image and mask, denoise 0.7, batch of 2: dpmpp_2m_sde/karras"] = dict(
        inpaint, image=True, mask=True, denoise=0.7, batch=2, sampler="dpmpp_2m_sde", scheduler="karras")
    cases["inpainting model, 131x117 image and 128x128 mask: euler/normal"] = dict(
        inpaint, image="odd", mask=True, width=None, height=None)
    return cases


class Reference:
    """The checkpoint in ComfyUI's own classes, loaded by its own loader."""

    def __init__(self, checkpoint, pictures):
        # Finds ComfyUI through COMFYUI_DIR and sets it up for the CPU.
        import models_make_fixtures as fixtures
        import comfy.sample
        import comfy.supported_models
        import comfy.utils

        comfy.cli_args.args.fp32_text_enc = True

        # ComfyUI's table knows SD1.5 at its real width only; at the small one everything else is the same.
        class SmallSD15(comfy.supported_models.SD15):
            unet_config = dict(comfy.supported_models.SD15.unet_config, **UNET)

        comfy.supported_models.models.insert(0, SmallSD15)
        width, layers, heads = TEXT
        text = dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width)
        state = comfy.utils.load_torch_file(str(checkpoint))
        prefix = "first_stage_model."
        vae_state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        self.model, clip, _, _ = comfy.sd.load_state_dict_guess_config(
            state, output_vae=False, te_model_options={"clip_l_model_config": text})
        assert isinstance(self.model.model.model_config, SmallSD15)
        self.vae, _ = fixtures.comfy_vae(*VAE)
        self.vae.first_stage_model.load_state_dict(vae_state)
        self.positive, self.negative, self.other = (
            clip.encode_from_tokens_scheduled(clip.tokenize(words)) for words in (POSITIVE, NEGATIVE, "a lighthouse"))
        self.torch, self.sample, self.pictures = fixtures.torch, comfy.sample, pictures
        import nodes

        self.nodes = nodes
        # So small a model gains nothing from threads, and loses much where other programs want the cores.
        self.torch.set_num_threads(1)

    def pixels(self, name):
        import numpy
        from PIL import Image

        picture = numpy.asarray(Image.open(self.pictures[name]).convert("RGB")).astype(numpy.float32) / 255.0
        return self.torch.from_numpy(picture)[None]

    def encode(self, pixels):
        """As a VAE node; comfy_vae made a VAE that leaves the range of pixels alone."""
        return self.vae.encode(pixels * 2.0 - 1.0)

    def latents(self, case, positive=None):
        """As the stock nodes LoadImage, VAEEncode, RepeatLatentBatch, LoadImageMask, SetLatentNoiseMask (or, for an
        inpainting model, InpaintModelConditioning), KSampler."""
        torch = self.torch
        positive, negative = positive or self.positive, self.negative
        picture, mask = case.get("image"), None
        if case.get("mask"):
            mask = self.pixels("mask")[..., 0]
        if picture:
            pixels = self.pixels(picture if isinstance(picture, str) else "image")
        if mask is not None and case.get("inpaint"):
            positive, negative, made = self.nodes.InpaintModelConditioning().encode(
                positive, negative, pixels, self, mask, True)
            latent, mask = made["samples"], made["noise_mask"]
        elif picture:
            latent = self.encode(pixels)
        else:
            latent = torch.zeros(1, 4, case["height"] // 8, case["width"] // 8)
        latent = latent.repeat(case["batch"], 1, 1, 1)
        noise = self.sample.prepare_noise(latent, case["seed"])
        answer = self.sample.sample(
            self.model, noise, case["steps"], case["cfg"], case["sampler"], case["scheduler"],
            positive, negative, latent, denoise=case["denoise"], noise_mask=mask,
            disable_pbar=True, seed=case["seed"])
        return answer.float().numpy()


def make_pictures(folder, width, height):
    """A smooth picture with a sharp square, and a mask with soft edges."""
    import numpy
    from PIL import Image

    y, x = numpy.mgrid[0:height, 0:width] / max(width, height)
    picture = numpy.stack([x, y, 0.5 + 0.5 * numpy.sin(9 * x + 5 * y)], -1) * 255
    picture[height // 4:height // 2, width // 4:width // 2] = (230, 40, 90)
    mask = numpy.clip(4.0 * (x - 0.4) + numpy.sin(7 * y), 0.0, 1.0) * 255
    files = {"image": folder / "image.png", "mask": folder / "mask.png", "odd": folder / "odd.png"}
    Image.fromarray(picture.astype(numpy.uint8)).save(files["image"])
    Image.fromarray(numpy.pad(picture, [(0, 3), (0, 0), (0, 0)], "reflect")[:, :117].astype(numpy.uint8).swapaxes(
        0, 1)).save(files["odd"])
    Image.fromarray(numpy.repeat(mask.astype(numpy.uint8)[..., None], 3, -1)).save(files["mask"])
    return files


def relative_error(ours, theirs):
    import numpy

    if ours.shape != theirs.shape or not numpy.isfinite(theirs).all():
        return float("inf")
    error = float(numpy.linalg.norm(ours.astype(numpy.float64) - theirs) / numpy.linalg.norm(theirs))
    return error if numpy.isfinite(error) else float("inf")


def closest_pair(latents):
    """(distance, cell, cell) of the nearest two that share a sampler or a scheduler: the least that a mix-up shows as.

    Without ddim, which in ComfyUI is euler.
    """
    names = [name for name in latents if not name.startswith("ddim/")]
    return min((relative_error(latents[a], latents[b]), a, b) for i, a in enumerate(names) for b in names[:i]
               if set(a.split("/")) & set(b.split("/")))


def compare(programs, cases):
    """(results by case, summary)"""
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory(prefix="luna-latents-") as folder:
        base = pathlib.Path(folder)
        checkpoint = base / "models/checkpoints/small.safetensors"
        checkpoint.parent.mkdir(parents=True)
        inpainting = checkpoint.with_stem("inpainting")
        subprocess.run([programs / "luna-make-checkpoint", checkpoint, "--size", SIZE], check=True)
        subprocess.run([programs / "luna-make-checkpoint", inpainting, "--size", SIZE, "--inpaint"], check=True)
        pictures = make_pictures(base, BASE["width"], BASE["height"])
        reference, inpainter = Reference(checkpoint, pictures), Reference(inpainting, pictures)
        results, grid_latents, saved = {}, {}, base / "luna.safetensors"
        with luna_process.LunaDaemon(programs, base / "models", base) as daemon, reference.torch.inference_mode():
            for name, case in cases.items():
                began = time.time()
                theirs = (inpainter if case.get("inpaint") else reference).latents(case)
                middle = time.time()
                flags = {key: value for key, value in case.items() if key not in ("image", "mask", "inpaint")}
                picture = case.get("image")
                daemon.generate(
                    checkpoint=("inpainting" if case.get("inpaint") else "small") + ".safetensors", prompt=POSITIVE, negative=NEGATIVE, precision="f32",
                    image=pictures[picture if isinstance(picture, str) else "image"] if picture else None,
                    mask=pictures["mask"] if case.get("mask") else None,
                    output=base / "luna.png", save_latents=saved, **flags)
                error = relative_error(load_file(saved)["latent_tensor"], theirs)
                saved.unlink()
                verdict = "ok" if error <= LIMIT else "FAILED"
                results[name] = error
                if name in grid():
                    grid_latents[name] = theirs
                print(json.dumps(dict(case=name, relative_error=error, comfyui_seconds=round(middle - began, 2),
                                      luna_seconds=round(time.time() - middle, 2), verdict=verdict)), flush=True)
            # A model that ignored its prompt would let a wrong text encoding pass.
            case = dict(next(iter(cases.values())), inpaint=False)
            prompt_effect = relative_error(reference.latents(case, reference.other), reference.latents(case))
    worst = max(results, key=results.get)
    summary = dict(cases=len(results), median=statistics.median(results.values()), worst=results[worst],
                   worst_case=worst, limit=LIMIT, prompt_effect=prompt_effect,
                   failed=[name for name, error in results.items() if not error <= LIMIT])
    passed = not summary["failed"] and prompt_effect > 10 * LIMIT
    if len(grid_latents) == len(grid()):
        distance, first, second = closest_pair(grid_latents)
        summary.update(closest_cells=[first, second], closest_cells_apart=distance)
        # Some schedules are nearer to each other than the limit; each cell must still be its own.
        passed = passed and max(results[name] for name in grid()) < distance / 2
    summary["verdict"] = "ok" if passed else "FAILED"
    return results, summary


def write_page(path, programs, results, summary):
    import platform

    import comfyui_version
    import torch

    luna = subprocess.run([programs / "luna", "version"], capture_output=True, text=True, check=True).stdout.strip()
    number = "{:.1e}".format
    paragraphs = [
        "# Final latents against ComfyUI",
        "",
        "Made by",
        "",
        "```",
        "COMFYUI_DIR=<a checkout> COMFYUI_PYTHON=<a Python with its requirements> \\",
        '"$COMFYUI_PYTHON" tests/parity/live_latents.py build/release/bin --write docs/parity.md',
        "```",
        "",
        f"with ComfyUI {comfyui_version.__version__}, torch {torch.__version__.split('+')[0]}, Python "
        f"{platform.python_version()}, {luna}; both on the CPU in f32. `./dev test --all` runs the same comparison.",
        "",
        f"Relative error ‖luna − ComfyUI‖ / ‖ComfyUI‖ of the final latents, {BASE['steps']} steps, guidance "
        f"{BASE['cfg']:g}, {BASE['width']}x{BASE['height']} pixels, seed {BASE['seed']}. Luna's side is `luna generate "
        "--save-latents` through a running `lunad`; ComfyUI's is its own loader, text encoder and `comfy.sample`. The "
        f"checkpoint is `luna-make-checkpoint --size {SIZE}`: SD1.5's depth, small widths, made-up weights; "
        "an inpainting model is the same with `--inpaint`.",
        "",
        f"{summary['cases']} cases, limit {LIMIT:g}: median {number(summary['median'])}, worst "
        f"{number(summary['worst'])} ({summary['worst_case']}), {len(summary['failed'])} beyond the limit. What the "
        f"comparison can tell apart: another prompt moves the latents by {summary['prompt_effect']:.2g}; the nearest "
        f"two cells of a row or a column, {' and '.join(summary['closest_cells'])}, are "
        f"{summary['closest_cells_apart']:.1e} apart (ddim not counted: in ComfyUI it is euler); the "
        "test also asks that every cell be nearer to its own reference than half of that.",
        "",
    ]
    lines = [line for text in paragraphs for line in (textwrap.wrap(text, 120, break_on_hyphens=False) or [""])]
    lines += [
        "| | " + " | ".join(SCHEDULERS) + " |",
        "|---|" + "---|" * len(SCHEDULERS),
    ]
    for sampler in SAMPLERS:
        row = [number(results[f"{sampler}/{scheduler}"]) for scheduler in SCHEDULERS]
        lines.append(f"| {sampler} | " + " | ".join(row) + " |")
    lines += ["", "Other cases:", "", "| case | relative error |", "|---|---|"]
    lines += [f"| {name} | {number(results[name])} |" for name in others()]
    old = path.read_text() if path.exists() else ""
    others_sections = old[old.find("\n## "):] if "\n## " in old else ""
    path.write_text("\n".join(lines) + "\n" + others_sections)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path, metavar="BIN_FOLDER",
                        help="where lunad, luna-worker, luna and luna-make-checkpoint are")
    parser.add_argument("--only", default="", help="only cases with this in their names")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE", help="write the results as a page, too")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write needs all cases")
    comfyui_process.require_comfyui()
    cases = {name: case for name, case in {**grid(), **others()}.items() if arguments.only in name}
    if not cases:
        parser.error(f"no case has '{arguments.only}' in its name")
    # ComfyUI reads the command line as well.
    sys.argv = sys.argv[:1]
    results, summary = compare(arguments.programs.resolve(), cases)
    print(json.dumps(summary))
    if arguments.write:
        write_page(arguments.write, arguments.programs.resolve(), results, summary)
    sys.exit(0 if summary["verdict"] == "ok" else 1)


if __name__ == "__main__":
    main()
