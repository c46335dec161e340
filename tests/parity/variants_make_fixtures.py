"""Makes tests/parity/fixtures/variants.safetensors: what ComfyUI's own code answers for variants of SD1.5's and SDXL's
UNets: v-prediction, zero terminal SNR, EDM, and inpainting. Needs a Python with ComfyUI's requirements:

    COMFYUI_DIR=/path/to/ComfyUI python tests/parity/variants_make_fixtures.py

Weights and inputs follow from names (luna_weights.py), so that only answers are stored:

    noise/<variant>/...       the noise process that the file's markers choose: its table and its rules
    latent/<variant>/...      a latent into the model's scale and back
    concat/<model>/<case>     c_concat of an inpainting model
    trajectory/<model>/<case> a whole small run of KSampler's code
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import models_make_fixtures as fixtures  # noqa: E402, finds ComfyUI and sets it up for the CPU
import comfy.model_patcher  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.supported_models  # noqa: E402
import torch  # noqa: E402
from luna_weights import fill_state_dict  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

# What luna-make-checkpoint --variant writes.
MARKERS = {
    "eps": {},
    "v": {"v_pred": torch.tensor([])},
    "v-zsnr": {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])},
    "edm": {"edm_mean": torch.zeros(1, 4, 1, 1), "edm_std": torch.ones(1, 4, 1, 1)},
    "edm-v": {"edm_vpred.sigma_max": torch.tensor(80.0), "edm_vpred.sigma_min": torch.tensor(0.01)},
}
HEIGHT, WIDTH = 8, 6
STEPS, CFG, SEED = 6, 3.0, 5
SIGMAS, PERCENTS = [0.03, 1.7, 40.0], [0.0, 0.1, 0.5, 0.999, 1.0]
CPU = torch.device("cpu")


def levels(depth, blocks=1):
    return [d for d in depth for _ in range(blocks)]


def small_model(family, variant="eps", inpaint=False):
    """The shapes of TinySd15Options::sdxl(), and of the engine tests' SD1.5."""
    config = dict(image_size=32, in_channels=9 if inpaint else 4, out_channels=4, num_res_blocks=[1, 1],
                  channel_mult=[1, 2], use_spatial_transformer=True, legacy=False, use_temporal_attention=False,
                  dtype=torch.float32)
    if family == "sdxl":
        depth = [0, 2]
        config |= dict(model_channels=64, transformer_depth_middle=2, context_dim=192, use_linear_in_transformer=True,
                       adm_in_channels=128 + 6 * 256, num_classes="sequential", num_heads=-1, num_head_channels=64)
        kind = comfy.supported_models.SDXL
    else:
        depth = [1, 1]
        config |= dict(model_channels=32, transformer_depth_middle=1, context_dim=64, use_linear_in_transformer=False,
                       adm_in_channels=None, num_heads=8, num_head_channels=-1)
        kind = comfy.supported_models.SD15
    config |= dict(transformer_depth=levels(depth), transformer_depth_output=levels(depth, 2))
    model = kind(config).get_model(dict(MARKERS[variant]))
    model.diffusion_model.load_state_dict(fill_state_dict(model.diffusion_model.state_dict()))
    return model.eval()


def share(name, shape):
    """Made-up values in 0..1."""
    return (fixtures.values(name, shape) + 1.0) / 2.0


def noise_process(out, name, model):
    sampling = model.model_sampling
    out[f"noise/{name}/table"] = sampling.sigmas
    sigmas = torch.tensor(SIGMAS)
    timesteps = torch.stack([sampling.timestep(sigma).float() for sigma in sigmas])
    out[f"noise/{name}/timestep"] = timesteps
    out[f"noise/{name}/back"] = torch.stack([torch.as_tensor(sampling.sigma(t)).float() for t in timesteps])
    out[f"noise/{name}/percent"] = torch.tensor([float(sampling.percent_to_sigma(p)) for p in PERCENTS])
    shape = (len(SIGMAS), 4, 3, 2)
    x, output = fixtures.values("noise.x", shape), fixtures.values("noise.output", shape)
    out[f"noise/{name}/input"] = sampling.calculate_input(sigmas, x)
    out[f"noise/{name}/denoised"] = sampling.calculate_denoised(sigmas, output, x)
    out[f"noise/{name}/start"] = sampling.noise_scaling(sigmas[1], x.clone(), output)
    out[f"noise/{name}/start_max"] = sampling.noise_scaling(sampling.sigma_max, x.clone(), output, True)


def concat_cases():
    shape = (1, 4, HEIGHT, WIDTH)
    latent = fixtures.values("concat.latent", shape)
    own = {"concat_latent_image": fixtures.values("concat.image", shape),
           "concat_mask": share("concat.mask", (1, 1, 8 * HEIGHT, 8 * WIDTH))}
    row_mask = share("concat.noise_mask", (1, 1, HEIGHT, WIDTH)).repeat(1, 4, 1, 1)
    return {
        "own": own,
        "own_before_the_rows": own | {"denoise_mask": row_mask},
        "other_sizes": {"concat_latent_image": fixtures.values("concat.wide", (1, 4, 9, 13)),
                        "concat_mask": share("concat.tall", (1, 1, 70, 31))},
        "mask_alone": {"concat_mask": own["concat_mask"]},
        "noise_mask_alone": {"denoise_mask": row_mask},
        "image_and_noise_mask": {"concat_latent_image": own["concat_latent_image"], "denoise_mask": row_mask},
        "image_alone": {"concat_latent_image": own["concat_latent_image"]},
        "nothing": {},
    }, {"noise": torch.zeros(shape), "latent_image": latent, "device": CPU}


def run(model, latent=None, extras=None, noise_mask=None, denoise=1.0, scheduler="normal"):
    sdxl = model.adm_channels > 0
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)
    conds = []
    for name in ("positive", "negative"):
        more = {"pooled_output": fixtures.values("pooled." + name, (1, 128))} if sdxl else {}
        conds.append([[fixtures.values(name, (1, 77, 192 if sdxl else 64)), more | (extras or {})]])
    if latent is None:
        latent = torch.zeros(1, 4, HEIGHT, WIDTH)
    noise = comfy.sample.prepare_noise(latent, SEED)
    return comfy.sample.sample(patcher, noise, STEPS, CFG, "euler", scheduler, *conds, latent, denoise=denoise,
                               noise_mask=noise_mask, seed=SEED, disable_pbar=True)


def trajectories(out):
    latent = fixtures.values("run.latent", (1, 4, HEIGHT, WIDTH), 3.0)
    mask = torch.zeros(1, 1, 8 * HEIGHT, 8 * WIDTH)
    mask[..., 16:, 8:40] = 1.0
    own = {"concat_latent_image": fixtures.values("run.masked", (1, 4, HEIGHT, WIDTH), 3.0), "concat_mask": mask}
    for variant in ("v", "v-zsnr", "edm", "edm-v"):
        model = small_model("sdxl", variant)
        out[f"trajectory/sdxl/{variant}"] = run(model)
        out[f"trajectory/sdxl/{variant}/sgm_uniform"] = run(model, scheduler="sgm_uniform")
        out[f"trajectory/sdxl/{variant}/picture"] = run(model, latent, denoise=0.6, noise_mask=mask)
    for family, variant in (("sd1", "eps"), ("sdxl", "eps"), ("sdxl", "edm")):
        model, name = small_model(family, variant, inpaint=True), f"trajectory/inpaint-{family}-{variant}"
        out[f"{name}/words"] = run(model)
        out[f"{name}/picture"] = run(model, latent, denoise=0.6)
        out[f"{name}/own"] = run(model, latent, own, noise_mask=mask)
        out[f"{name}/own_without_noise_mask"] = run(model, latent, own)
        out[f"{name}/noise_mask_alone"] = run(model, latent, noise_mask=mask, denoise=0.8)


def main():
    out = {}
    for variant in ("v", "v-zsnr", "edm", "edm-v"):
        noise_process(out, variant, small_model("sdxl", variant))
    for variant in ("v", "edm"):
        model = small_model("sdxl", variant)
        latent = fixtures.values("latent", (2, 4, 3, 2), 5.0)
        out[f"latent/{variant}/in"] = model.process_latent_in(latent)
        out[f"latent/{variant}/out"] = model.process_latent_out(latent)
    cases, row = concat_cases()
    for family, variant in (("sd1", "eps"), ("sdxl", "edm")):
        model = small_model(family, variant, inpaint=True)
        for name, case in cases.items():
            out[f"concat/{family}-{variant}/{name}"] = model.concat_cond(**row, **case)
    trajectories(out)
    path = os.path.join(HERE, "fixtures", "variants.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in out.values())
    for name in sorted(out):
        if name.startswith("trajectory"):
            print(name, f"rms {float(out[name].square().mean().sqrt()):.3f}")
    save_file({name: value.float().contiguous().clone() for name, value in out.items()}, path,
              {"made_by": "COMFYUI_DIR=... python tests/parity/variants_make_fixtures.py"})
    os.chmod(path, 0o644)
    print(path, len(out), "tensors,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
