"""Makes tests/parity/fixtures/libraries/: adapters as peft and lycoris themselves write them, and what the library and
ComfyUI's own code make of a small model's weights with each. Needs a Python with torch, safetensors, peft, lycoris_lora
and ComfyUI's own requirements:

    COMFYUI_DIR=/path/to/ComfyUI python tests/parity/libraries_make_fixtures.py

An adapter of lycoris is CASE.safetensors, one of peft a folder CASE with its two files. expected.safetensors has the
weights ("weight/linear.weight" ...), an input for each layer ("input/linear"), and for each case
"comfyui/CASE/linear.weight/STRENGTH": ComfyUI's weight; "library/CASE/...": what the library merges, where that is
more than 1e-6 from ComfyUI's; "output/CASE/linear": what the library's own forward makes of the input at strength 1. A
stack "A+B" is A and then B.
"""

import json
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [os.environ["COMFYUI_DIR"]]
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import comfy.lora  # noqa: E402
import peft  # noqa: E402
from lycoris.wrapper import LycorisNetwork, create_lycoris_from_weights, network_module_dict  # noqa: E402

import peft.tuners.boft.layer  # noqa: E402

peft.tuners.boft.layer.get_fbd_cuda = lambda: None  # its other way, without compiling anything

# torch.kron refuses what einsum leaves in another order, and ComfyUI then leaves the weight as it is; meant is this.
_kron = torch.kron
torch.kron = lambda a, b: _kron(a.contiguous(), b.contiguous())

FOLDER = HERE / "fixtures" / "libraries"
LAYERS = ("linear", "conv", "norm")
WEIGHTS = ("linear.weight", "linear.bias", "conv.weight", "conv.bias", "norm.weight", "norm.bias")


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 8)
        self.conv = torch.nn.Conv2d(4, 8, 3, padding=1)
        self.norm = torch.nn.LayerNorm(6)

    def forward(self, x):
        return self.linear(x)


def made(seed):
    """The model with the same weights each time."""
    random = torch.Generator().manual_seed(seed)
    model = Small()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return model.eval()


def fill(parameters, seed):
    """Random numbers for an adapter's own; a magnitude stays near the norm that it starts from."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in parameters:
        draw = torch.randn(parameter.shape, generator=random)
        magnitude = "dora_scale" in name or "magnitude" in name or "rescale" in name
        parameter.data = parameter.data * (1 + 0.2 * draw) if magnitude else 0.3 * draw
        if "oft_blocks" in name:
            parameter.data = 0.3 * parameter.data


# algorithm, its options; dims 3 (linear) and 2 (convolution), alphas 2 and 3.
LYCORIS = {
    "locon": ("locon", {}),
    "locon_tucker": ("locon", dict(use_tucker=True)),
    "locon_rslora": ("locon", dict(rs_lora=True)),
    "locon_scalar": ("locon", dict(use_scalar=True)),
    "dora_rows": ("locon", dict(weight_decompose=True, wd_on_out=True)),
    "dora_columns": ("locon", dict(weight_decompose=True, wd_on_out=False)),
    "loha": ("loha", {}),
    "loha_tucker": ("loha", dict(use_tucker=True)),
    "loha_dora_columns": ("loha", dict(weight_decompose=True, wd_on_out=False)),
    "lokr": ("lokr", dict(factor=2)),
    "lokr_full": ("lokr", dict(factor=2, full_matrix=True)),
    "lokr_both": ("lokr", dict(factor=2, decompose_both=True, dim=1)),
    "lokr_tucker": ("lokr", dict(factor=2, use_tucker=True, dim=1)),
    "lokr_rslora": ("lokr", dict(factor=2, rs_lora=True, dim=1)),
    "lokr_dora_columns": ("lokr", dict(factor=2, weight_decompose=True, wd_on_out=False)),
    "glora": ("glora", {}),
    "glora_rslora": ("glora", dict(rs_lora=True)),
    "diag_oft": ("diag-oft", dict(dim=4)),
    "diag_oft_constraint": ("diag-oft", dict(dim=4, constraint=0.02)),
    "diag_oft_rescaled": ("diag-oft", dict(dim=4, rescaled=True)),
    "boft": ("boft", dict(dim=4)),
    "boft_constraint": ("boft", dict(dim=4, constraint=0.02)),
    "boft_rescaled": ("boft", dict(dim=4, rescaled=True)),
    "full": ("full", dict(train_norm=True)),
    "ia3": ("ia3", {}),
}

STACKS = ("locon+glora", "glora+locon", "boft+locon+glora", "glora+locon+boft")

BOTH = ["linear", "conv"]
PEFT = {
    "peft_lora": lambda: peft.LoraConfig(r=3, lora_alpha=6, target_modules=BOTH),
    "peft_rslora": lambda: peft.LoraConfig(r=3, lora_alpha=6, use_rslora=True, target_modules=BOTH),
    "peft_patterns": lambda: peft.LoraConfig(r=3, lora_alpha=6, target_modules=BOTH, rank_pattern={"conv": 2},
                                             alpha_pattern={"conv": 5}),
    "peft_dora": lambda: peft.LoraConfig(r=3, lora_alpha=6, use_dora=True, target_modules=BOTH),
    "peft_loha": lambda: peft.LoHaConfig(r=3, alpha=6, target_modules=BOTH),
    "peft_loha_tucker": lambda: peft.LoHaConfig(r=3, alpha=6, use_effective_conv2d=True, target_modules=BOTH),
    "peft_lokr": lambda: peft.LoKrConfig(r=1, alpha=3, target_modules=BOTH),
    "peft_lokr_tucker": lambda: peft.LoKrConfig(r=1, alpha=3, use_effective_conv2d=True, decompose_both=True,
                                                decompose_factor=2, target_modules=BOTH),
    "peft_oft": lambda: peft.OFTConfig(r=0, oft_block_size=2, target_modules=["linear"]),
    "peft_boft": lambda: peft.BOFTConfig(boft_block_size=2, target_modules=["linear"]),
    "peft_adalora": lambda: peft.AdaLoraConfig(init_r=3, target_r=3, lora_alpha=6, total_step=10, tinit=1, tfinal=1,
                                               deltaT=1, target_modules=["linear"]),
    "peft_ia3": lambda: peft.IA3Config(target_modules=["linear"], feedforward_modules=[]),
}


def comfyui(tensors, prefix, model, strength):
    """ComfyUI's weights by name, of those that it changes."""
    to_load = {prefix(layer): f"{layer}.weight" for layer in LAYERS}
    patches = comfy.lora.load_lora(dict(tensors), to_load, log_missing=False)
    state = model.state_dict()
    changed = {}
    for key, patch in patches.items():
        weight = comfy.lora.calculate_weight([(strength, patch, 1.0, None, None)], state[key].clone(), key)
        if not torch.equal(weight, state[key]):
            changed[key] = weight
    return changed


def lycoris_case(name, seed, inputs, expected):
    algorithm, options = LYCORIS[name]
    options = dict(options)
    dim = options.pop("dim", None)

    def network(model, multiplier):
        LycorisNetwork.apply_preset({"target_module": ["Linear", "Conv2d", "LayerNorm"]})
        made_network = LycorisNetwork(model, multiplier=multiplier, lora_dim=dim or 3, conv_lora_dim=dim or 2, alpha=2.0,
                                      conv_alpha=3.0, network_module=algorithm, warn_on_unmatched=False, **options)
        for index, lora in enumerate(made_network.loras):
            fill(lora.named_parameters(), 100 * seed + index)
            if isinstance(getattr(lora, "scalar", None), torch.nn.Parameter):
                lora.scalar.data = torch.tensor(1.5)
        return made_network.eval()

    model = made(1)
    net = network(model, 1.0)
    net.apply_to()
    net.save_weights(str(FOLDER / f"{name}.safetensors"), torch.float32, {})
    with torch.no_grad():
        for layer, x in inputs.items():
            expected[f"output/{name}/{layer}"] = getattr(model, layer)(x)
    for strength in (1.0, 0.6):
        merged = made(1)
        net = network(merged, strength)
        net.merge_to(strength)
        record(name, strength, merged, load_file(FOLDER / f"{name}.safetensors"), lambda layer: f"lycoris_{layer}", expected)


def peft_case(name, seed, inputs, expected):
    model = peft.get_peft_model(made(1), PEFT[name]())
    fill([(n, p) for n, p in model.named_parameters() if p.requires_grad], seed)
    model.eval()
    model.save_pretrained(FOLDER / name)
    for file in (FOLDER / name).iterdir():
        if not file.name.startswith("adapter_"):
            file.unlink()
    with torch.no_grad():
        for layer, x in inputs.items():
            expected[f"output/{name}/{layer}"] = model.base_model.model.get_submodule(layer)(x)
    merged = model.merge_and_unload()
    tensors = load_file(FOLDER / name / "adapter_model.safetensors")
    record(name, 1.0, merged, tensors, lambda layer: f"base_model.model.{layer}", expected)


def stack_case(name, expected):
    merged = made(1)
    theirs = made(1).state_dict()
    for case in name.split("+"):
        file = FOLDER / f"{case}.safetensors"
        net, _ = create_lycoris_from_weights(1.0, str(file), merged)
        net.merge_to(1.0)
        current = made(1)
        current.load_state_dict(theirs)
        theirs |= comfyui(load_file(file), lambda layer: f"lycoris_{layer}", current, 1.0)
    for key in ("linear.weight", "conv.weight"):
        expected[f"comfyui/{name}/{key}/1"] = theirs[key]
        assert relative(merged.state_dict()[key], theirs[key]) < 1e-6, name


def relative(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def record(name, strength, merged, tensors, prefix, expected):
    """Adds both weights; prints how far apart they are, and how far their forward is from the library's own."""
    pristine, state = made(1).state_dict(), merged.state_dict()
    theirs = comfyui(tensors, prefix, made(1), strength)
    apart = {}
    for key in WEIGHTS:
        if key in theirs:
            expected[f"comfyui/{name}/{key}/{strength:g}"] = theirs[key]
        if torch.equal(state[key], pristine[key]) and key not in theirs:
            continue
        apart[key] = relative(state[key], theirs.get(key, pristine[key]))
        if apart[key] > 1e-6:
            expected[f"library/{name}/{key}/{strength:g}"] = state[key]
    for layer in ("linear", "conv") if strength == 1 else ():
        if f"{layer}.weight" not in apart:
            continue
        forward, x = expected[f"output/{name}/{layer}"], expected[f"input/{layer}"]
        for of, weights in (("library", state), ("ComfyUI", {**pristine, **theirs})):
            parts = (x, weights[f"{layer}.weight"], weights[f"{layer}.bias"])
            found = torch.nn.functional.linear(*parts) if layer == "linear" else torch.nn.functional.conv2d(*parts, padding=1)
            apart[f"{layer}: library's forward and weights by {of}"] = relative(found, forward)
    facts = {key: float(f"{value:.2g}") for key, value in apart.items()}
    print(f"{name} {strength:g}", json.dumps(facts), flush=True)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    pristine = made(1).state_dict()
    expected = {f"weight/{key}": pristine[key] for key in WEIGHTS}
    random = torch.Generator().manual_seed(2)
    inputs = {"linear": torch.randn(2, 6, generator=random), "conv": torch.randn(1, 4, 4, 3, generator=random)}
    expected |= {f"input/{layer}": x for layer, x in inputs.items()}
    for seed, name in enumerate(LYCORIS):
        lycoris_case(name, seed + 10, inputs, expected)
    for name in STACKS:
        stack_case(name, expected)
    for seed, name in enumerate(PEFT):
        peft_case(name, seed + 100, inputs, expected)
    tensors = {name: tensor.detach().float().contiguous().clone() for name, tensor in expected.items()}
    save_file(tensors, FOLDER / "expected.safetensors")
    assert set(network_module_dict) - {"lora", "dylora", "tlora"} == {algorithm for algorithm, _ in LYCORIS.values()}
    size = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    print(f"{len(tensors)} tensors, {size} bytes in all")


if __name__ == "__main__":
    main()
