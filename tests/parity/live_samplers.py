"""Final latents of every sampler x scheduler x step count x strength, with and without a mask, and of every case of
conditioning: ComfyUI's own sampling code in this process against Sample calls to a real lunad; at most 1e-3 of
relative error anywhere, 1e-5 in the median. Where more is found, ComfyUI is asked again with its noise changed in the
last bit: a trajectory that ComfyUI itself ends elsewhere then (dpm_adaptive takes another number of steps) is listed
apart, if Luna's error is no more than that.

Both sides have the same tiny SD1.5 with made-up weights, and the same contexts: text and VAE are no part of it. A call
to lunad is one trajectory; several are under way at once, so that their rows share forwards.

usage: live_samplers.py BIN_FOLDER [--write docs/sampler-parity.md]    (COMFYUI_DIR, COMFYUI_PYTHON with grpcio and
grpcio-tools)
"""

import argparse
import concurrent.futures
import contextlib
import itertools
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time

import comfyui_process
import luna_process
import luna_rpc

LIMIT, MEDIAN_LIMIT = 1e-3, 1e-5
NUDGE, NUDGES = 1e-7, 6  # relative, of the noise
STEPS, STRENGTHS = (1, 7, 20), (1.0, 0.6)
HEIGHT, WIDTH, CFG, SEED = 6, 6, 4.0, 7
AT_ONCE = 16


class Reference:
    """ComfyUI's sampling code over a tiny model of its own classes."""

    def __init__(self):
        import conditioning_make_fixtures as conditioning
        import comfy.samplers

        self.conditioning, self.samplers = conditioning, comfy.samplers
        self.torch, self.values = conditioning.torch, conditioning.values
        self.torch.set_num_threads(1)  # lunad's threads are beside it
        self.model = conditioning.variants.small_model("sd1")
        self.inpainter = conditioning.variants.small_model("sd1", inpaint=True)
        cpu = self.torch.device("cpu")
        self.patcher = conditioning.comfy.model_patcher.ModelPatcher(self.model, load_device=cpu, offload_device=cpu)
        shape = (1, 4, HEIGHT, WIDTH)
        self.picture, self.empty = self.values("picture", shape, 3.0), self.torch.zeros(shape)
        self.mask = self.torch.zeros(1, 8 * HEIGHT, 8 * WIDTH)
        self.mask[:, 8:40, 16:48] = 1.0
        self.positive, self.negative = (self.values("context." + name, (1, 77, 64)) for name in "an")

    def write_models(self, folder):
        from safetensors.torch import save_file

        for name, model in (("tiny", self.model), ("inpainting", self.inpainter)):
            save_file({"model.diffusion_model." + key: value.contiguous()
                       for key, value in model.diffusion_model.state_dict().items()}, folder / f"{name}.safetensors")

    def latent(self, cell, nudge=0):
        """NaN where ComfyUI's own sigmas are no numbers: some of its samplers raise then, some do not. `nudge`: which of
        the changes of the noise; 0: none."""
        comfy, torch = self.conditioning.comfy, self.torch
        sigmas = self.samplers.KSampler(self.patcher, cell["steps"], torch.device("cpu"), cell["sampler"],
                                        cell["scheduler"], cell["denoise"]).sigmas
        if not bool(torch.isfinite(sigmas).all()):
            return torch.full((1,), math.nan).numpy()
        latent = self.picture if cell["denoise"] < 1 or cell["mask"] else self.empty
        # Its list of loaded models would grow by a dead entry a call, and is looked through in each.
        comfy.model_management.current_loaded_models.clear()
        noise = comfy.sample.prepare_noise(latent, SEED)
        if nudge:
            noise = noise * (1 + NUDGE * torch.randn(noise.shape, generator=torch.Generator().manual_seed(nudge)))
        return comfy.sample.sample(
            self.patcher, noise, cell["steps"], CFG, cell["sampler"], cell["scheduler"], [[self.positive, {}]],
            [[self.negative, {}]], latent, denoise=cell["denoise"], noise_mask=self.mask if cell["mask"] else None,
            seed=SEED, disable_pbar=True)[0].float().numpy()

    def spread(self, cell, latent):
        """How far ComfyUI's own result moves when the last bits of its noise are others."""
        return max(relative_error(self.latent(cell, nudge), latent) for nudge in range(1, NUDGES + 1))


class Luna:
    """Sample calls to one checkpoint of a running lunad."""

    def __init__(self, daemon, checkpoint, reference):
        self.rpc = luna_rpc.Workflow(daemon.socket, checkpoint, "f32")
        self.rpc.about = [("luna-workflow-id", "parity")]
        self.reference, self.pb = reference, self.rpc.pb["sampling"]

    def entry(self, context, **fields):
        return self.pb.ConditioningEntry(cross_attn=self.rpc.tensor(context.numpy()), **fields)

    def finish(self, request):
        import grpc

        try:
            for message in self.rpc.primitives.Sample(request, metadata=self.rpc.about):
                if message.HasField("result"):
                    return [self.rpc.array(latent) for latent in message.result.latents]
        except grpc.RpcError as error:
            return error.details()
        return "a sampling without a result"

    def latent(self, cell):
        pb, ours = self.pb, self.reference
        picture = ours.picture if cell["denoise"] < 1 or cell["mask"] else ours.empty
        row = pb.SampleRow(
            latent=self.rpc.tensor(picture[0].numpy()), noise=pb.Noise(seed=SEED), guidance=pb.Guidance(cfg=CFG),
            noise_mask=self.rpc.tensor(ours.mask.numpy()) if cell["mask"] else None,
            conditioning={"positive": pb.ConditioningList(entries=[self.entry(ours.positive)]),
                          "negative": pb.ConditioningList(entries=[self.entry(ours.negative)])})
        run = pb.SamplerRun(sampler=cell["sampler"], scheduler=cell["scheduler"], steps=cell["steps"],
                            denoise=cell["denoise"])
        return self.finish(pb.SampleRequest(run=run, rows=[row]))

    def case(self, case):
        """One of conditioning_make_fixtures.CASES."""
        pb, fixtures = self.pb, self.reference.conditioning
        case = fixtures.RUN | case
        mask, pictures, rows = fixtures.noise_mask_of(case), fixtures.picture_of(case), []
        for index in range(case["batch"]):
            lists = {sign: pb.ConditioningList(entries=[self.case_entry(entry) for entry in case[sign]])
                     for sign in ("positive", "negative")}
            rows.append(pb.SampleRow(
                latent=self.rpc.tensor(pictures[index].numpy()), conditioning=lists,
                noise=pb.Noise(seed=case["seed"], batch_size=case["batch"], batch_index=index),
                noise_mask=None if mask is None else self.rpc.tensor(mask.numpy()),
                guidance=pb.Guidance(cfg=case["cfg"], options=case["guidance"])))
        run = pb.SamplerRun(sampler=case["sampler"], scheduler=case["scheduler"], steps=case["steps"],
                            denoise=case["denoise"], start_step=case["start_step"], end_step=case["end_step"],
                            force_full_denoise=case["force_full_denoise"])
        return self.finish(pb.SampleRequest(run=run, rows=rows))

    def case_entry(self, entry):
        fixtures, fields = self.reference.conditioning, {}
        for name, fractional in (("area", False), ("percent", True)):
            if name in entry:
                height, width, y, x = entry[name]
                fields["area"] = self.pb.ConditioningArea(fractional=fractional, height=height, width=width, y=y, x=x)
        if "mask" in entry:
            fields |= dict(mask=self.rpc.tensor(fixtures.mask_values(entry["mask"]).numpy()),
                           mask_strength=entry.get("mask_strength"), set_area_to_bounds=entry.get("bounds"))
        return self.entry(fixtures.context_of(entry), strength=entry.get("strength"),
                          start_percent=entry.get("start"), end_percent=entry.get("end"),
                          is_default=entry.get("default"), **fields)


def relative_error(ours, theirs):
    import numpy

    if isinstance(ours, str) or ours.shape != theirs.shape:
        return math.inf
    error = float(numpy.linalg.norm(ours.astype(numpy.float64) - theirs) / numpy.linalg.norm(theirs))
    return error if math.isfinite(error) else math.inf


def runs_of(steps):
    """Every number of steps at every strength, without and with a mask."""
    return [dict(zip(("denoise", "mask", "steps"), run)) for run in itertools.product(STRENGTHS, (False, True), steps)]


def compare(programs, samplers, steps, with_cases, known):
    """Prints a line of JSON for each case and each trajectory that is not `known`: the error, or none where ComfyUI's
    result is not finite, and what Luna said if it refused."""
    import numpy

    with tempfile.TemporaryDirectory(prefix="luna-samplers-") as folder:
        base = pathlib.Path(folder)
        models = base / "models/checkpoints"
        models.mkdir(parents=True)
        reference = Reference()
        reference.write_models(models)
        with luna_process.LunaDaemon(programs, base / "models", base) as daemon, reference.torch.inference_mode():
            luna = Luna(daemon, "tiny.safetensors", reference)
            for name, case in reference.conditioning.CASES.items():
                if case.get("inpaint") or not with_cases or name in known:
                    continue
                theirs = reference.conditioning.run_case(reference.model, case).float().numpy()
                ours = luna.case(case)
                said = ours if isinstance(ours, str) else None
                error = relative_error(ours if said else numpy.stack(ours), theirs)
                print(json.dumps(dict(case=name, error=error, luna_said=said)), flush=True)
            names = samplers or reference.samplers.SAMPLER_NAMES
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                for run, sampler in itertools.product(runs_of(steps), names):
                    cells = [dict(run, sampler=sampler, scheduler=scheduler)
                             for scheduler in reference.samplers.SCHEDULER_NAMES]
                    cells = [cell for cell in cells if name_of(cell) not in known]
                    waiting = [pool.submit(luna.latent, cell) for cell in cells]
                    for cell, answer in zip(cells, waiting):
                        theirs = reference.latent(cell)
                        ours = answer.result()
                        said = ours if isinstance(ours, str) else None
                        possible = bool(numpy.isfinite(theirs).all())
                        error = relative_error(ours if said else ours[0], theirs) if possible else None
                        line = dict(cell=cell, error=error, luna_said=said)
                        if possible and not error <= LIMIT:
                            line["spread"] = reference.spread(cell, theirs)
                        print(json.dumps(line), flush=True)


def name_of(cell):
    return " ".join(f"{key} {value}" for key, value in sorted(cell.items()))


def known_in(log):
    """Cases and cells that a log has a line of; the last one may have been cut off."""
    lines = log.read_text().splitlines() if log.exists() else []
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return {line["case"] if "case" in line else name_of(line["cell"]) for line in found}


def read_results(logs):
    """(results: [(cell, error)], refused: [(cell, Luna's words)], cases: {name: error}, unstable: [(cell, error, what
    ComfyUI moves by)]) from lines of compare()."""
    results, refused, cases, unstable = [], [], {}, []
    for line in itertools.chain.from_iterable(log.read_text().splitlines() for log in logs):
        found = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        if "case" in found:
            cases[found["case"]] = found["error"]
        elif "cell" in found and found["error"] is None:
            refused.append((found["cell"], found["luna_said"] or "a latent"))
        elif "cell" in found and LIMIT < found["error"] <= 1.01 * found.get("spread", 0):
            unstable.append((found["cell"], found["error"], found["spread"]))
        elif "cell" in found:
            results.append((found["cell"], found["error"]))
    return results, refused, cases, unstable


def summary_of(results, refused, cases, unstable):
    errors = [error for _, error in results]
    worst = max(results, key=lambda pair: pair[1])
    failed = [cell for cell, error in results if not error <= LIMIT] + [
        name for name, error in cases.items() if not error <= LIMIT]
    passed = not failed and statistics.median(errors) <= MEDIAN_LIMIT
    return dict(trajectories=len(errors), median=statistics.median(errors), worst=worst[1], worst_cell=worst[0],
                at_most_1e6=sum(error <= 1e-6 for error in errors), at_most_1e5=sum(error <= 1e-5 for error in errors),
                at_most_1e4=sum(error <= 1e-4 for error in errors), not_finite_in_comfyui=len(refused),
                unstable_in_comfyui=unstable, conditioning_cases=len(cases),
                conditioning_worst=max(cases.values(), default=None), failed=failed,
                verdict="ok" if passed else "FAILED")


def write_page(path, programs, results, refused, cases, unstable):
    import platform

    import comfyui_version
    import torch

    luna = subprocess.run([programs / "lunad", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    number = "{:.0e}".format
    total = summary_of(results, refused, cases, unstable)
    schedulers = list(dict.fromkeys(cell["scheduler"] for cell, _ in results))
    samplers = sorted({cell["sampler"] for cell, _ in results})
    runs = list(dict.fromkeys((cell["steps"], cell["denoise"], cell["mask"]) for cell, _ in results))
    words_of_runs = "; ".join(f"{steps} steps, denoise {denoise:g}, {'with' if mask else 'without'} mask"
                              for steps, denoise, mask in sorted(runs))
    by_place = {}
    for cell, error in results:
        key = cell["sampler"], cell["scheduler"]
        by_place[key] = max(by_place.get(key, 0.0), error)
    impossible = sorted({f"{cell['scheduler']} at {cell['steps']} step" for cell, _ in refused})
    words = sorted({said for _, said in refused})
    paragraphs = [
        "# Samplers and schedulers against ComfyUI", "", "Made by", "", "```",
        "COMFYUI_DIR=<a checkout> COMFYUI_PYTHON=<a Python with its requirements> \\",
        '"$COMFYUI_PYTHON" tests/parity/live_samplers.py build/release/bin --write docs/sampler-parity.md', "```", "",
        f"with ComfyUI {comfyui_version.__version__}, torch {torch.__version__.split('+')[0]}, Python "
        f"{platform.python_version()}, luna {luna}; both on the CPU in f32. `./dev test --all` runs the same comparison.", "",
        f"Relative error ‖luna − ComfyUI‖ / ‖ComfyUI‖ of final latents of a tiny SD1.5 with made-up weights, {HEIGHT} x "
        f"{WIDTH} cells, guidance {CFG:g}: ComfyUI's `comfy.sample` against `Sample` calls to a running `lunad`, "
        f"{AT_ONCE} at once. Each field is the worst of {len(runs)} runs: {words_of_runs}.", "",
        f"{total['trajectories']} trajectories: median {total['median']:.1e}, worst {total['worst']:.1e} "
        f"({total['worst_cell']['sampler']}, {total['worst_cell']['scheduler']}, {total['worst_cell']['steps']} steps, "
        f"denoise {total['worst_cell']['denoise']:g}). At most 1e-6: {total['at_most_1e6']}, at most 1e-5: "
        f"{total['at_most_1e5']}, at most 1e-4: {total['at_most_1e4']}.", "",
        f"What ComfyUI itself cannot do, {total['not_finite_in_comfyui']} runs that end in NaN there: "
        f"{'; '.join(impossible) or 'none'}. Luna refuses them: {'; '.join(words) or 'none'}.", ""]
    if unstable:
        cells = "; ".join(f"{cell['sampler']}, {cell['scheduler']}, {cell['steps']} steps, denoise {cell['denoise']:g}, "
                          f"{'with' if cell['mask'] else 'without'} mask: {error:.1e}, ComfyUI itself {spread:.1e}"
                          for cell, error, spread in unstable)
        paragraphs += [f"Not counted, {len(unstable)}: trajectories that ComfyUI itself ends elsewhere when its noise is "
                       f"changed by {NUDGE:g} of its value (the worst of {NUDGES} such changes). {cells}.", ""]
    lines = [line for text in paragraphs for line in (textwrap.wrap(text, 120, break_on_hyphens=False) or [""])]
    lines += ["| | " + " | ".join(schedulers) + " |", "|---|" + "---|" * len(schedulers)]
    for sampler in samplers:
        lines.append(f"| {sampler} | " + " | ".join(number(by_place[sampler, s]) if (sampler, s) in by_place else "" for s in schedulers) + " |")
    if not cases:
        path.write_text("\n".join(lines) + "\n")
        return
    lines += ["", "Conditioning and guidance, the cases of `tests/parity/conditioning_make_fixtures.py`:", "",
              "| case | error |", "|---|---|"]
    lines += [f"| {name} | {number(error)} |" for name, error in cases.items()]
    path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--samplers", nargs="+", help="only these")
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="only these numbers of steps")
    parser.add_argument("--without-cases", action="store_true", help="leaves out the cases of conditioning")
    parser.add_argument("--log", type=pathlib.Path, help="where the lines of results go, and from where a run that was "
                        "ended goes on; without it a temporary file")
    parser.add_argument("--join", type=pathlib.Path, nargs="+", help="logs of earlier runs instead of a new one")
    options = parser.parse_args()
    sys.path.insert(0, str(comfyui_process.require_comfyui()))
    if not luna_rpc.is_available():
        print("skipped: grpcio and grpcio-tools are missing")
        sys.exit(77)
    # ComfyUI reads the command line too.
    sys.argv = sys.argv[:1]
    with tempfile.TemporaryDirectory(prefix="luna-samplers-log-") as folder:
        logs = options.join or [options.log or pathlib.Path(folder) / "log"]
        if not options.join:
            known = known_in(logs[0])
            with logs[0].open("a") as log, contextlib.redirect_stdout(log):
                compare(options.programs.resolve(), options.samplers, options.steps, not options.without_cases, known)
        found = read_results(logs)
    summary = summary_of(*found)
    print(json.dumps(summary), flush=True)
    if options.write:
        write_page(options.write, options.programs.resolve(), *found)
    sys.exit(0 if summary["verdict"] == "ok" else 1)


if __name__ == "__main__":
    main()
