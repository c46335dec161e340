#!/usr/bin/env python3
"""Records what ComfyUI and torchsde compute, for the sampling tests.

    COMFYUI_DIR=/path/to/ComfyUI python3 tests/parity/sampling_make_fixtures.py [--output DIR]

Writes sampling_tables.safetensors (model tables, sigma lists, masks), sampling_noise.safetensors (initial
noise, Brownian increments) and sampling_latents.safetensors (final latents of sampler x scheduler x steps,
run through ComfyUI's KSampler with the analytic denoiser of `analytic_x0`, which the tests repeat in C++).
Without --output they go to tests/parity/fixtures. The reference runs on the CPU, single threaded.
"""
import argparse
import os
import pathlib
import sys

import torch
from safetensors.torch import save_file

COMFYUI_DIR = os.environ.get("COMFYUI_DIR")
if not COMFYUI_DIR:
    sys.exit("COMFYUI_DIR must name a ComfyUI checkout")
sys.path.insert(0, COMFYUI_DIR)
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.argv, own_argv = sys.argv[:1], sys.argv
from comfy.cli_args import args as comfy_args  # noqa: E402

comfy_args.cpu = True
import comfy.k_diffusion.sampling as k_sampling  # noqa: E402
import comfy.model_base  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.model_sampling  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy.utils  # noqa: E402

torch.set_num_threads(1)

SCHEDULERS = ["simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal",
              "linear_quadratic", "kl_optimal"]
# On the CPU a *_gpu sampler is its namesake.
SAMPLERS = [name for name in comfy.samplers.SAMPLER_NAMES if not name.endswith("_gpu")]
LATENT = (2, 4, 2, 2)
SEED = 7
CFG = 2.0
# Small runs with options other than the defaults: (name, sampler, options)
OPTION_CASES = [
    ("euler_churn", "euler", {"s_churn": 5.0, "s_noise": 1.01}),
    ("heun_churn", "heun", {"s_churn": 30.0, "s_tmin": 0.5, "s_tmax": 8.0}),
    ("dpm_2_churn", "dpm_2", {"s_churn": 5.0}),
    ("euler_ancestral_eta", "euler_ancestral", {"eta": 0.4, "s_noise": 0.9}),
    ("euler_ancestral_eta_0", "euler_ancestral", {"eta": 0.0}),
    ("dpm_2_ancestral_eta", "dpm_2_ancestral", {"eta": 0.5}),
    ("dpmpp_2s_ancestral_eta", "dpmpp_2s_ancestral", {"eta": 0.5, "s_noise": 1.1}),
    ("dpmpp_sde_r", "dpmpp_sde", {"eta": 0.7, "s_noise": 1.1, "r": 0.3}),
    ("dpmpp_sde_eta_0", "dpmpp_sde", {"eta": 0.0}),
    ("dpmpp_2m_sde_heun_by_option", "dpmpp_2m_sde", {"eta": 0.5, "solver_type": "heun"}),
    ("dpmpp_3m_sde_eta", "dpmpp_3m_sde", {"eta": 0.3, "s_noise": 0.8}),
    ("lcm_noise_end", "lcm", {"s_noise": 0.8, "s_noise_end": 1.2}),
    ("lms_order_2", "lms", {"order": 2}),
    ("heunpp2_churn", "heunpp2", {"s_churn": 30.0, "s_tmin": 0.5, "s_tmax": 8.0}),
    ("dpm_adaptive_order_2", "dpm_adaptive", {"order": 2, "rtol": 0.1, "atol": 0.01, "h_init": 0.2}),
    ("dpm_adaptive_pid", "dpm_adaptive", {"pcoeff": 0.2, "icoeff": 0.7, "dcoeff": 0.1, "accept_safety": 0.9}),
    ("dpm_adaptive_eta", "dpm_adaptive", {"eta": 0.6, "s_noise": 0.9}),
    ("dpmpp_2s_ancestral_cfg_pp_eta", "dpmpp_2s_ancestral_cfg_pp", {"eta": 0.5, "s_noise": 1.1}),
    ("ipndm_order_2", "ipndm", {"max_order": 2}),
    ("ipndm_v_order_3", "ipndm_v", {"max_order": 3}),
    ("deis_order_4", "deis", {"max_order": 4}),
    ("res_multistep_ancestral_eta", "res_multistep_ancestral", {"eta": 0.5, "s_noise": 0.9}),
    ("gradient_estimation_gamma", "gradient_estimation", {"ge_gamma": 1.5}),
    ("er_sde_stage_2", "er_sde", {"max_stage": 2, "s_noise": 0.9}),
    ("er_sde_reverse_time", "er_sde", {"noise_scaler": lambda x: x ** 1.7}),
    ("er_sde_ode", "er_sde", {"noise_scaler": lambda x: x, "s_noise": 0.0}),
    ("seeds_2_phi_2", "seeds_2", {"solver_type": "phi_2", "eta": 0.6, "s_noise": 1.1, "r": 0.3}),
    ("seeds_3_nodes", "seeds_3", {"eta": 0.6, "r_1": 0.25, "r_2": 0.75}),
    ("exp_heun_2_x0_sde_phi_1", "exp_heun_2_x0_sde", {"solver_type": "phi_1", "eta": 0.5}),
    ("sa_solver_orders", "sa_solver", {"predictor_order": 4, "corrector_order": 2, "s_noise": 0.9}),
    ("sa_solver_simple", "sa_solver", {"predictor_order": 2, "corrector_order": 2, "simple_order_2": True}),
    ("sa_solver_pece_predictor", "sa_solver_pece", {"predictor_order": 2, "corrector_order": 0}),
]


def analytic_x0(x, sigma, shift):
    """A smooth contraction of the state with some mixing along the width; `shift` stands for the prompt."""
    scaled = x / torch.sqrt(sigma * sigma + 1.0)
    return 0.9 * torch.tanh(1.3 * scaled + 0.25 * torch.roll(scaled, 1, -1) + shift)


def wrapper(apply_model, args):
    """Answers for the network: positive rows are shifted by 0.3, negative ones by -0.2."""
    chunks = args["input"].chunk(len(args["cond_or_uncond"]))
    sigmas = args["timestep"].chunk(len(args["cond_or_uncond"]))
    return torch.cat([analytic_x0(x, s.view(-1, 1, 1, 1), 0.3 if sign == 0 else -0.2)
                      for x, s, sign in zip(chunks, sigmas, args["cond_or_uncond"])])


class NoNetwork(torch.nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.dtype = torch.float32


def make_patcher(kind):
    config_class, model_type = {
        "eps": (comfy.supported_models.SD15, comfy.model_base.ModelType.EPS),
        "v": (comfy.supported_models.SD15, comfy.model_base.ModelType.V_PREDICTION),
        "flow": (comfy.supported_models.SD3, comfy.model_base.ModelType.FLOW),
    }[kind]
    config = config_class({"disable_unet_model_creation": True, "in_channels": 4, "adm_in_channels": None})
    config.latent_format = comfy.supported_models.SD15.latent_format()
    model = comfy.model_base.BaseModel(config, model_type=model_type)
    model.diffusion_model = NoNetwork()
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)
    patcher.set_model_unet_function_wrapper(wrapper)
    return patcher


def run(patcher, sampler, scheduler, steps, latent=None, options=None, **kwargs):
    if latent is None:
        latent = torch.zeros(LATENT)
    noise = comfy.sample.prepare_noise(latent, SEED)
    cond = [[torch.zeros(1, 77, 8), {}]]
    if options is not None:
        sigmas = comfy.samplers.KSampler(patcher, steps, torch.device("cpu"), sampler, scheduler).sigmas
        result = comfy.sample.sample_custom(patcher, noise, CFG, comfy.samplers.ksampler(sampler, options),
                                            sigmas, cond, cond, latent, disable_pbar=True, seed=SEED)
    else:
        result = comfy.sample.sample(patcher, noise, steps, CFG, sampler, scheduler, cond, cond, latent,
                                     seed=SEED, disable_pbar=True, **kwargs)
    return result * patcher.model.latent_format.scale_factor


def tables(patchers):
    out = {}
    for kind, patcher in patchers.items():
        out[f"table/{kind}"] = patcher.model.model_sampling.sigmas.clone()

    class Settings:
        sampling_settings = {}

    v_zsnr = comfy.model_sampling.ModelSamplingDiscrete(zsnr=True)
    edm = comfy.model_sampling.ModelSamplingContinuousEDM(Settings())
    flux = comfy.model_sampling.ModelSamplingFlux(Settings())
    out["table/v_zsnr"] = v_zsnr.sigmas
    out["table/edm"] = edm.sigmas
    out["table/flux"] = flux.sigmas[::50].clone()
    models = {"eps": patchers["eps"].model.model_sampling, "flow": patchers["flow"].model.model_sampling,
              "v_zsnr": v_zsnr, "edm": edm, "flux": flux}
    probes = {"eps": [0.03, 0.5, 1.7, 14.0], "flow": [0.1, 0.5, 0.97], "v_zsnr": [0.03, 1.7, 4000.0],
              "edm": [0.002, 1.7, 80.0], "flux": [0.1, 0.5, 0.97]}
    percents = [0.0, 0.1, 0.35, 0.5, 0.999, 1.0]
    for kind, model in models.items():
        timesteps = torch.stack([model.timestep(torch.tensor(s)).float() for s in probes[kind]])
        out[f"probe/{kind}/sigma"] = torch.tensor(probes[kind])
        out[f"probe/{kind}/timestep"] = timesteps
        out[f"probe/{kind}/back"] = torch.stack([torch.as_tensor(model.sigma(t)).float() for t in timesteps])
        out[f"probe/{kind}/percent"] = torch.tensor([float(model.percent_to_sigma(p)) for p in percents])
    out["probe/percents"] = torch.tensor(percents, dtype=torch.float64)

    generator = torch.Generator().manual_seed(3)
    x, output = torch.randn(2, 4, 3, 3, generator=generator), torch.randn(2, 4, 3, 3, generator=generator)
    out["scaling/x"], out["scaling/output"] = x, output
    classes = {"eps": comfy.model_sampling.EPS, "v": comfy.model_sampling.V_PREDICTION,
               "edm": comfy.model_sampling.EDM, "flow": comfy.model_sampling.CONST}
    for kind, kind_class in classes.items():
        scaling = kind_class()
        scaling.sigma_data = 0.5 if kind == "edm" else 1.0
        sigma = torch.tensor([0.7, 0.2] if kind == "flow" else [5.0, 0.2])
        out[f"scaling/{kind}/sigma"] = sigma
        out[f"scaling/{kind}/input"] = scaling.calculate_input(sigma, x).clone()
        out[f"scaling/{kind}/denoised"] = scaling.calculate_denoised(sigma, output, x)
        out[f"scaling/{kind}/start"] = scaling.noise_scaling(sigma[0], x.clone(), output)
        out[f"scaling/{kind}/start_max"] = scaling.noise_scaling(sigma[0], x.clone(), output, True)
        out[f"scaling/{kind}/end"] = scaling.inverse_noise_scaling(sigma[1], x).clone()

    for kind in ("eps", "v_zsnr", "flow"):
        if kind == "v_zsnr":
            patchers["v"].add_object_patch("model_sampling", v_zsnr)
        patcher = patchers["v" if kind == "v_zsnr" else kind]
        for scheduler in SCHEDULERS:
            for sampler in ("euler", "uni_pc"):
                for steps in (1, 2, 7, 20, 50):
                    for denoise in (1.0, 0.6):
                        if kind != "eps" and (steps in (2, 50) or sampler != "euler"):
                            continue
                        sigmas = comfy.samplers.KSampler(patcher, steps, torch.device("cpu"), sampler,
                                                         scheduler, denoise).sigmas
                        name = f"sigmas/{kind}/{scheduler}/{sampler}/{steps}/{denoise}"
                        out[name] = sigmas.float() if bool(torch.isfinite(sigmas).all()) else torch.zeros(0)

    mask = torch.rand(1, 13, 9, generator=generator)
    out["mask/in"] = mask
    out["mask/small"] = comfy.utils.reshape_mask(mask, (3, 4, 5, 4)).contiguous()
    out["mask/large"] = comfy.utils.reshape_mask(mask, (1, 4, 20, 12)).contiguous()
    two = torch.rand(2, 1, 6, 6, generator=generator)
    out["mask/two_in"] = two
    out["mask/two"] = comfy.utils.reshape_mask(two, (3, 2, 4, 4)).contiguous()
    return out


def noise():
    out = {}
    for seed in (0, 7, 2**32 + 7, 2**63 + 12345):
        out[f"initial/{seed}/3"] = comfy.sample.prepare_noise(torch.zeros(3, 4, 3, 2), seed)
        out[f"initial/{seed}/1"] = comfy.sample.prepare_noise(torch.zeros(1, 4, 3, 2), seed)
    out["initial_tiny/7"] = comfy.sample.prepare_noise(torch.zeros(2, 1, 3, 1), 7)
    sampler = k_sampling.default_noise_sampler(torch.zeros(3, 4, 3, 2), seed=7)
    out["step/7"] = torch.stack([sampler(None, None) for _ in range(3)])

    sigmas = comfy.samplers.calculate_sigmas(comfy.model_sampling.ModelSamplingDiscrete(), "karras", 12)
    for seed in (0, 7, 2**32 + 7, 2**63 + 12345):
        brownian = k_sampling.BrownianTreeNoiseSampler(torch.zeros(2, 4, 3, 2), sigmas[-2], sigmas[0],
                                                       seed=seed, cpu=True)
        pairs = [(sigmas[i], sigmas[i + 1]) for i in range(11)]
        middles = [(a, (a.log().lerp(b.log(), 0.37)).exp()) for a, b in pairs[::3]]
        wide = [(sigmas[0], sigmas[-2]), (sigmas[9], sigmas[2]), (torch.tensor(0.5), torch.tensor(0.500001))]
        pairs = pairs + middles + wide
        out[f"brownian/{seed}/from"] = torch.stack([a for a, _ in pairs])
        out[f"brownian/{seed}/to"] = torch.stack([b for _, b in pairs])
        out[f"brownian/{seed}/value"] = torch.stack([brownian(a, b) for a, b in pairs])
    out["brownian/sigmas"] = sigmas
    return out


def latents(patchers):
    """One tensor [schedulers, step counts, rows, C, h, w] a sampler; cells that are not finite are 0."""
    out, skipped = {}, []
    for kind, step_counts, schedulers in (("eps", (1, 7, 20), SCHEDULERS), ("flow", (1, 7, 20), ["normal", "simple"])):
        for sampler in SAMPLERS:
            cells = []
            for scheduler in schedulers:
                for steps in step_counts:
                    sigmas = comfy.samplers.KSampler(patchers[kind], steps, torch.device("cpu"), sampler,
                                                     scheduler).sigmas
                    cell = torch.full(LATENT, float("nan"))
                    if bool(torch.isfinite(sigmas).all()):
                        cell = run(patchers[kind], sampler, scheduler, steps)
                    if not bool(torch.isfinite(cell).all()):
                        skipped.append(f"{kind} {sampler} {scheduler} {steps}")
                        cell = torch.zeros_like(cell)
                    cells.append(cell)
            out[f"{kind}/{sampler}"] = torch.stack(cells).reshape(
                len(schedulers), len(step_counts), *LATENT)
    for name, sampler, options in OPTION_CASES:
        out[f"options/{name}"] = run(patchers["eps"], sampler, "karras", 7, options=options)
    latent = torch.randn(LATENT, generator=torch.Generator().manual_seed(11))
    mask = torch.zeros(1, 24, 24)
    mask[:, 8:, :16] = 1.0
    out["image/latent"] = latent
    out["image/mask"] = mask
    for sampler in ("euler", "ddim", "dpmpp_2m_sde", "uni_pc"):
        out[f"image/{sampler}"] = run(patchers["eps"], sampler, "karras", 7, latent, denoise=0.6)
        out[f"image/{sampler}_masked"] = run(patchers["eps"], sampler, "karras", 7, latent, denoise=0.6,
                                             noise_mask=mask)
        out[f"image/{sampler}_window"] = run(patchers["eps"], sampler, "karras", 9, latent, start_step=2,
                                             last_step=6, force_full_denoise=True)
        out[f"image/{sampler}_leftover"] = run(patchers["eps"], sampler, "karras", 9, latent, start_step=2,
                                               last_step=6, force_full_denoise=False)
    return out, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "fixtures")
    output = parser.parse_args(own_argv[1:]).output
    output.mkdir(parents=True, exist_ok=True)
    patchers = {kind: make_patcher(kind) for kind in ("eps", "v", "flow")}
    final, skipped = latents(patchers)
    for name, content, metadata in (
            ("sampling_tables", tables(patchers), {}),
            ("sampling_noise", noise(), {}),
            ("sampling_latents", final, {"not_finite": ",".join(skipped)})):
        content = {key: value.contiguous().clone() for key, value in content.items()}
        path = output / f"{name}.safetensors"
        save_file(content, path, metadata={"made_by": "sampling_make_fixtures.py", **metadata})
        path.chmod(0o644)
        print(f"{name}: {len(content)} tensors, {path.stat().st_size} bytes")
    print("not finite in the reference:", ", ".join(skipped) or "none")


if __name__ == "__main__":
    with torch.no_grad():
        main()
