"""Makes tests/parity/fixtures/adapters/: small adapter files of every kind, and what ComfyUI's own code makes of
two weights with each of them. Needs a Python with torch, safetensors and ComfyUI's own requirements:

    COMFYUI_DIR=/path/to/ComfyUI python tests/parity/adapters_make_fixtures.py

expected.safetensors has the weights ("weight/linear", "weight/conv", "weight/norm"), and for each case
"KIND/LAYER/STRENGTH" the changed weight; a stack "A+B/LAYER/1" is A and then B. names.json has ComfyUI's table of
the names that adapter files have for an SD1.5 UNet and its text encoder.
"""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [os.environ["COMFYUI_DIR"]]
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import comfy.lora  # noqa: E402
import comfy.utils  # noqa: E402

# torch.kron refuses what einsum leaves in another order, and ComfyUI then leaves the weight as it is; meant is this.
_kron = torch.kron
torch.kron = lambda a, b: _kron(a.contiguous(), b.contiguous())

FOLDER = HERE / "fixtures" / "adapters"
STRENGTHS = (1.0, 0.6, -0.5)
OUT, IN, RANK, KERNEL = 16, 8, 3, 3


def parts(kind, random):
    """Tensors of one adapter for the layers "linear" [16,8] and "conv" [16,8,3,3]."""
    def draw(*shape):
        return torch.randn(*shape, generator=random) * 0.3

    def alpha(value):
        return torch.tensor(value)

    linear, conv = {}, {}
    if kind in ("lora", "dora_rows", "dora_columns"):
        linear = {"lora_up.weight": draw(OUT, RANK), "lora_down.weight": draw(RANK, IN), "alpha": alpha(2.0)}
        conv = {"lora_up.weight": draw(OUT, RANK, 1, 1), "lora_down.weight": draw(RANK, IN, KERNEL, KERNEL)}
    if kind == "dora_rows":
        linear["dora_scale"], conv["dora_scale"] = draw(OUT, 1).abs() + 1, draw(OUT, 1, 1, 1).abs() + 1
    if kind == "dora_columns":
        linear["dora_scale"], conv["dora_scale"] = draw(1, IN).abs() + 1, draw(1, IN, 1, 1).abs() + 1
    if kind == "lora_half":
        linear = {"lora_up.weight": draw(OUT, RANK).half(), "lora_down.weight": draw(RANK, IN).half(), "alpha": alpha(1.0)}
    if kind == "locon_mid":
        conv = {"lora_up.weight": draw(OUT, RANK, 1, 1), "lora_mid.weight": draw(RANK, RANK, KERNEL, KERNEL),
                "lora_down.weight": draw(RANK, IN, 1, 1), "alpha": alpha(1.5)}
    if kind == "peft":
        linear = {"lora_A.weight": draw(RANK, IN), "lora_B.weight": draw(OUT, RANK)}
    if kind == "loha":
        linear = {"hada_w1_a": draw(OUT, RANK), "hada_w1_b": draw(RANK, IN), "hada_w2_a": draw(OUT, RANK),
                  "hada_w2_b": draw(RANK, IN), "alpha": alpha(2.0)}
        conv = {"hada_t1": draw(RANK, RANK, KERNEL, KERNEL), "hada_w1_a": draw(RANK, OUT), "hada_w1_b": draw(RANK, IN),
                "hada_t2": draw(RANK, RANK, KERNEL, KERNEL), "hada_w2_a": draw(RANK, OUT), "hada_w2_b": draw(RANK, IN)}
    if kind == "lokr":
        linear = {"lokr_w1": draw(4, 2), "lokr_w2": draw(4, 4), "alpha": alpha(5.0)}
        conv = {"lokr_w1": draw(4, 2), "lokr_w2_a": draw(4, RANK), "lokr_w2_b": draw(RANK, 4 * KERNEL * KERNEL),
                "alpha": alpha(2.0)}
    if kind == "lokr_products":
        linear = {"lokr_w1_a": draw(4, RANK), "lokr_w1_b": draw(RANK, 2), "lokr_w2": draw(4, 4), "alpha": alpha(2.0)}
        conv = {"lokr_w1_a": draw(4, 2), "lokr_w1_b": draw(2, 2), "lokr_t2": draw(RANK, RANK, KERNEL, KERNEL),
                "lokr_w2_a": draw(RANK, 4), "lokr_w2_b": draw(RANK, 4), "alpha": alpha(2.0)}
    if kind == "glora":
        linear = {"a1.weight": draw(IN, RANK), "a2.weight": draw(RANK, IN), "b1.weight": draw(OUT, RANK),
                  "b2.weight": draw(RANK, IN), "alpha": alpha(2.0)}
        conv = {"a1.weight": draw(IN, RANK), "a2.weight": draw(RANK, IN), "b1.weight": draw(OUT, RANK),
                "b2.weight": draw(RANK, IN * KERNEL * KERNEL)}
    if kind == "glora_old":
        linear = {"a1.weight": draw(RANK, IN), "a2.weight": draw(IN, RANK), "b1.weight": draw(RANK, IN),
                  "b2.weight": draw(OUT, RANK), "alpha": alpha(2.0)}
    if kind == "oft":
        linear = {"oft_blocks": draw(4, 4, 4), "alpha": alpha(0.5)}
        conv = {"oft_blocks": draw(2, 8, 8)}
    if kind == "boft":
        linear = {"oft_blocks": draw(2, 4, 4, 4), "rescale": draw(OUT, 1).abs() + 1, "alpha": alpha(0.5)}
        conv = {"oft_blocks": draw(2, 4, 4, 4), "alpha": alpha(100.0)}
    if kind == "diff":
        linear = {"diff": draw(OUT, IN), "diff_b": draw(OUT)}
        conv = {"diff": draw(OUT, IN, KERNEL, KERNEL)}
    if kind == "set":
        linear = {"set_weight": draw(OUT, IN)}
    named = {f"linear.{name}": tensor for name, tensor in linear.items()}
    named |= {f"conv.{name}": tensor for name, tensor in conv.items()}
    if kind == "diff":
        named |= {"norm.w_norm": draw(OUT), "norm.b_norm": draw(OUT)}
    return named


KINDS = ("lora", "lora_half", "dora_rows", "dora_columns", "locon_mid", "peft", "loha", "lokr", "lokr_products",
         "glora", "glora_old", "oft", "boft", "diff", "set")


def changed(weight, key, loads, strength):
    patches = [(strength, load[key], 1.0, None, None) for load in loads if key in load]
    return comfy.lora.calculate_weight(patches, weight.clone(), key) if patches else None


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(6)
    weights = {"linear.weight": torch.randn(OUT, IN, generator=random),
               "conv.weight": torch.randn(OUT, IN, KERNEL, KERNEL, generator=random),
               "norm.weight": torch.randn(OUT, generator=random), "linear.bias": torch.randn(OUT, generator=random),
               "norm.bias": torch.randn(OUT, generator=random)}
    to_load = {layer: f"{layer}.weight" for layer in ("linear", "conv", "norm")}
    expected = {f"weight/{name}": weight for name, weight in weights.items()}
    loaded = {}
    for kind in KINDS:
        tensors = {name: tensor.contiguous() for name, tensor in parts(kind, random).items()}
        save_file(tensors, FOLDER / f"{kind}.safetensors")
        loaded[kind] = comfy.lora.load_lora(dict(tensors), to_load, log_missing=True)
        assert loaded[kind], kind
        for key, weight in weights.items():
            for strength in STRENGTHS:
                result = changed(weight, key, [loaded[kind]], strength)
                if result is None:
                    continue
                assert not torch.equal(result, weight), (kind, key)
                expected[f"{kind}/{key}/{strength:g}"] = result
    for stack in (("lora", "glora"), ("glora", "lora"), ("loha", "oft", "dora_rows"), ("dora_rows", "oft", "loha")):
        for key in ("linear.weight", "conv.weight"):
            expected["+".join(stack) + f"/{key}/0.6"] = changed(weights[key], key, [loaded[kind] for kind in stack], 0.6)
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, FOLDER / "expected.safetensors")

    config = {"num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
              "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "transformer_depth_middle": 1}
    names = {diffusers[:-len(".weight")]: ldm[:-len(".weight")]
             for diffusers, ldm in comfy.utils.unet_to_diffusers(config).items() if diffusers.endswith(".weight")}
    (FOLDER / "names.json").write_text(json.dumps({"made_by": "COMFYUI_DIR=... python tests/parity/adapters_make_fixtures.py",
                                                   "unet": names}, indent=0, sort_keys=True) + "\n")
    print(f"{len(expected)} tensors, {len(names)} names")


if __name__ == "__main__":
    main()
