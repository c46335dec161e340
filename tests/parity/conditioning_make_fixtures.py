"""Makes tests/parity/fixtures/conditioning.{json,safetensors}: cases of ComfyUI's conditioning and guidance, and what
its own sampling code answers for them on a tiny SD1.5. Needs a Python with ComfyUI's requirements:

    COMFYUI_DIR=/path/to/ComfyUI python tests/parity/conditioning_make_fixtures.py

A case is data that tests in C++ and live_samplers.py read too: `positive` and `negative` are lists of entries by
conditioning_cond(), the rest is the run. Contexts, latents and masks follow from their names (luna_weights.py).
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import variants_make_fixtures as variants  # noqa: E402, finds ComfyUI and sets it up for the CPU
import comfy.model_patcher  # noqa: E402
import comfy.sample  # noqa: E402
import comfy_extras.nodes_custom_sampler  # noqa: E402
import comfy_extras.nodes_model_advanced  # noqa: E402
import torch  # noqa: E402
from models_make_fixtures import values  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

# So small a model gains nothing from threads, and loses much where other programs want the cores.
torch.set_num_threads(1)

RUN = dict(height=12, width=10, steps=3, cfg=3.0, seed=5, sampler="euler", scheduler="normal", denoise=1.0, batch=1,
           picture=False, noise_mask=False, inpaint=False, guidance={}, start_step=None, end_step=None,
           force_full_denoise=True)
A, B, N = {"words": "a"}, {"words": "b"}, [{"words": "n"}]
MASK = {"shape": [1, 12, 10], "box": [2, 9, 1, 7]}
CASES = {
    "two entries": dict(positive=[A, B | {"strength": 0.6}], negative=N),
    "negative strength": dict(positive=[A, B | {"strength": -0.4}], negative=N),
    "strength 0": dict(positive=[A, B | {"strength": 0.0}], negative=N),
    "lone strength 0": dict(positive=[A | {"strength": 0.0}], negative=N),
    "contexts of 77 and 154": dict(positive=[A, B | {"tokens": 154}], negative=N),
    "contexts of 77 and 100": dict(positive=[A, B | {"tokens": 100}], negative=N),
    "area": dict(positive=[A, B | {"area": [6, 5, 4, 3]}], negative=N),
    "area alone": dict(positive=[A | {"area": [8, 9, 0, 0]}], negative=N),
    "areas that overlap": dict(positive=[A | {"area": [9, 10, 0, 0]}, B | {"area": [9, 10, 3, 0], "strength": 1.5}],
                               negative=N),
    "area over the edge": dict(positive=[A, B | {"area": [20, 9, 5, 4]}], negative=N),
    "area of 3 x 2": dict(positive=[A, B | {"area": [3, 2, 5, 5]}], negative=N),
    "area in percent": dict(positive=[A, B | {"percent": [0.5, 0.45, 0.375, 0.25]}], negative=N),
    "area in a smaller negative": dict(positive=[A, B | {"area": [4, 4, 4, 4]}],
                                       negative=N + [{"words": "m", "area": [8, 8, 2, 2]}]),
    "mask": dict(positive=[A, B | {"mask": MASK}], negative=N),
    "mask alone": dict(positive=[A | {"mask": MASK, "mask_strength": 0.7}], negative=N),
    "mask with strengths": dict(positive=[A, B | {"mask": MASK, "mask_strength": 0.7, "strength": 1.3}], negative=N),
    "mask over pixels": dict(positive=[A, B | {"mask": {"shape": [1, 96, 80], "box": [20, 70, 11, 60]}}], negative=N),
    "mask and area": dict(positive=[A, B | {"mask": MASK, "area": [8, 6, 3, 2]}], negative=N),
    "mask's bounds": dict(positive=[A, B | {"mask": {"shape": [1, 12, 10], "box": [1, 11, 0, 9]}, "bounds": True}],
                          negative=N),
    "small mask's bounds": dict(positive=[A, B | {"mask": {"shape": [1, 12, 10], "box": [1, 3, 2, 4]}, "bounds": True}],
                                negative=N),
    "empty mask's bounds": dict(positive=[A, B | {"mask": {"shape": [1, 12, 10], "box": [0, 0, 0, 0]}, "bounds": True}],
                                negative=N),
    "masks of a batch": dict(positive=[A, B | {"mask": {"shape": [2, 12, 10], "box": [2, 9, 1, 7]}}], negative=N,
                             batch=2),
    "ranges": dict(positive=[A | {"end": 0.4}, B | {"start": 0.4}], negative=N, steps=5),
    "range that leaves a gap": dict(positive=[A | {"end": 0.3}, B | {"start": 0.8}], negative=N, steps=5),
    "no positive at the start": dict(positive=[A | {"start": 0.5}], negative=N, steps=4),
    "nothing at the start": dict(positive=[A | {"start": 0.5}], negative=[{"words": "n", "start": 0.5}], steps=4),
    "empty range": dict(positive=[A, B | {"start": 0.6, "end": 0.2}], negative=N),
    "default beside a mask": dict(positive=[A | {"mask": MASK}, B | {"default": True}], negative=N),
    "default beside an area": dict(positive=[A | {"area": [6, 5, 4, 3]}, B | {"default": True}], negative=N),
    "default that nothing is left for": dict(positive=[A, B | {"default": True}], negative=N),
    "defaults of both signs": dict(positive=[A | {"mask": MASK, "strength": 0.8}, B | {"default": True}],
                                   negative=[{"words": "n", "area": [6, 10, 0, 0]}, {"words": "m", "default": True}]),
    "cfg 1": dict(positive=[A, B | {"area": [6, 5, 4, 3]}], negative=N, cfg=1.0),
    "cfg++ at cfg 1": dict(positive=[A, B | {"mask": MASK}], negative=N, cfg=1.0, sampler="euler_cfg_pp"),
    "cfg++ with areas": dict(positive=[A, B | {"area": [6, 5, 4, 3]}], negative=N, sampler="dpmpp_2m_cfg_pp"),
    "rescaled cfg": dict(positive=[A], negative=N, cfg=8.0, guidance={"rescale": 0.7}),
    "guidance in an interval": dict(positive=[A], negative=N, steps=5,
                                    guidance={"start_percent": 0.2, "end_percent": 0.7}),
    "another guidance outside": dict(positive=[A], negative=N, steps=5,
                                     guidance={"start_percent": 0.0, "end_percent": 0.5, "outside_cfg": 2.0}),
    "noise mask and areas": dict(positive=[A, B | {"area": [6, 5, 4, 3]}], negative=N, picture=True, noise_mask=True,
                                 denoise=0.7),
    "inpainting model and areas": dict(positive=[A, B | {"area": [6, 5, 4, 3]}], negative=N, picture=True,
                                       noise_mask=True, inpaint=True),
    "steps 1 to 3 with leftover noise": dict(positive=[A, B], negative=N, steps=5, start_step=1, end_step=3,
                                             force_full_denoise=False, picture=True),
    "two of a batch": dict(positive=[A, B | {"area": [6, 5, 4, 3]}], negative=N, batch=2, sampler="euler_ancestral"),
}


def mask_values(mask):
    """Made-up values in 0.1..1 inside of the box, 0 outside."""
    made = (values("mask", mask["shape"]) + 1.0) * 0.45 + 0.1
    y0, y1, x0, x1 = mask["box"]
    kept = torch.zeros_like(made)
    kept[:, y0:y1, x0:x1] = made[:, y0:y1, x0:x1]
    return kept


def context_of(entry):
    return values("context." + entry["words"], (1, entry.get("tokens", 77), 64))


def conditioning_cond(entry):
    """As the stock nodes leave an entry: ConditioningSetArea, ...Percentage, ...SetMask, ...SetTimestepRange, ..."""
    extra = {}
    if "strength" in entry:
        extra["strength"] = entry["strength"]
    if "area" in entry:
        extra["area"] = tuple(entry["area"])
    if "percent" in entry:
        extra["area"] = ("percentage", *entry["percent"])
    if "mask" in entry:
        extra |= {"mask": mask_values(entry["mask"]), "mask_strength": entry.get("mask_strength", 1.0),
                  "set_area_to_bounds": entry.get("bounds", False)}
    if "start" in entry or "end" in entry:
        extra |= {"start_percent": entry.get("start", 0.0), "end_percent": entry.get("end", 1.0)}
    if entry.get("default"):
        extra["default"] = True
    return [context_of(entry), extra]


def guided(patcher, case):
    """The stock nodes that the case's guidance stands for, and the guidance of the run itself."""
    options, cfg = case["guidance"], case["cfg"]
    if "rescale" in options:
        patcher, = comfy_extras.nodes_model_advanced.RescaleCFG().patch(patcher, options["rescale"])
    if "start_percent" in options:
        node = comfy_extras.nodes_custom_sampler.CFGOverride
        patcher = node.execute(patcher, cfg, options["start_percent"], options["end_percent"]).result[0]
        cfg = options.get("outside_cfg", 1.0)
    return patcher, cfg


def picture_of(case):
    shape = (case["batch"], 4, case["height"], case["width"])
    return values("picture", shape, 3.0) if case["picture"] else torch.zeros(shape)


def noise_mask_of(case):
    return mask_values({"shape": [1, 96, 80], "box": [24, 80, 16, 64]}) if case["noise_mask"] else None


def run_case(model, case):
    """Final latents as ComfyUI's KSamplerAdvanced gives them."""
    case = RUN | case
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)
    patcher, cfg = guided(patcher, case)
    latent = picture_of(case)
    conds = [[conditioning_cond(entry) for entry in case[sign]] for sign in ("positive", "negative")]
    noise = comfy.sample.prepare_noise(latent, case["seed"])
    return comfy.sample.sample(
        patcher, noise, case["steps"], cfg, case["sampler"], case["scheduler"], *conds, latent,
        denoise=case["denoise"], noise_mask=noise_mask_of(case), start_step=case["start_step"],
        last_step=case["end_step"], force_full_denoise=case["force_full_denoise"], seed=case["seed"],
        disable_pbar=True)


def main():
    models = {inpaint: variants.small_model("sd1", inpaint=inpaint) for inpaint in (False, True)}
    answers = {name: run_case(models[case.get("inpaint", False)], case) for name, case in CASES.items()}
    folder = os.path.join(HERE, "fixtures")
    for name, answer in answers.items():
        assert bool(torch.isfinite(answer).all()), name
        nearest = min((float((answer - other).norm() / answer.norm()), other_name)
                      for other_name, other in answers.items() if other_name != name and other.shape == answer.shape)
        print(f"{name}: rms {float(answer.square().mean().sqrt()):.3f}, nearest {nearest[1]} {nearest[0]:.1e}")
    tensors = os.path.join(folder, "conditioning.safetensors")
    save_file({name: answer.float().contiguous() for name, answer in answers.items()}, tensors,
              {"made_by": "COMFYUI_DIR=... python tests/parity/conditioning_make_fixtures.py"})
    os.chmod(tensors, 0o644)
    with open(os.path.join(folder, "conditioning.json"), "w") as out:
        lines = [f"{json.dumps(name)}: {json.dumps(RUN | case)}" for name, case in CASES.items()]
        out.write("{" + ",\n ".join(lines) + "}\n")
    print(tensors, len(answers), "tensors,", os.path.getsize(tensors), "bytes")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
