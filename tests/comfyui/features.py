"""Each stock-node feature as a function from a Picture to a finished graph. `cut`: what Luna must
choose for it, where that is a promise ("B" whole trajectories, "A" single evaluations); None:
either."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphs import Link, Picture


@dataclass(frozen=True)
class Feature:
    name: str
    make: Callable[[Picture], None]
    cut: str | None = None


FEATURES: list[Feature] = []


def feature(
    cut: str | None = None,
) -> Callable[[Callable[[Picture], None]], Callable[[Picture], None]]:
    def register(make: Callable[[Picture], None]) -> Callable[[Picture], None]:
        FEATURES.append(Feature(make.__name__, make, cut))
        return make

    return register


@feature("B")
def text_to_image(p: Picture) -> None:
    p.finish(p.sample())


@feature("B")
def batch_of_two_with_ancestral_noise(p: Picture) -> None:
    p.finish(p.sample(sampler_name="euler_ancestral", scheduler="karras", latent_image=p.empty(2)))


@feature("B")
def dpmpp_2m_sde_karras(p: Picture) -> None:
    p.finish(p.sample(sampler_name="dpmpp_2m_sde", scheduler="karras"))


@feature("B")
def uni_pc_simple(p: Picture) -> None:
    p.finish(p.sample(sampler_name="uni_pc", scheduler="simple"))


@feature("B")
def a_sampler_of_the_long_tail(p: Picture) -> None:
    p.finish(p.sample(sampler_name="res_multistep_ancestral", scheduler="beta"))


@feature("B")
def cfg_pp_sampler(p: Picture) -> None:
    p.finish(p.sample(sampler_name="euler_cfg_pp", cfg=1.2))


@feature("B")
def long_prompt_with_brackets_and_an_embedding(p: Picture) -> None:
    words = "a ((very)) old tree, (moss:0.6) and embedding:luna-test on every branch, " * 9
    p.finish(p.sample(positive=p.text(words)))


@feature("B")
def clip_set_last_layer(p: Picture) -> None:
    clip = p.graph.add("CLIPSetLastLayer", clip=p.models.clip, stop_at_clip_layer=-2)
    p.finish(p.sample(positive=p.text("a red boat at sea", clip)))


def _lora(
    p: Picture, model: Link, clip: Link, name: str, on_model: float, on_clip: float
) -> tuple[Link, Link]:
    link = p.graph.add(
        "LoraLoader",
        model=model,
        clip=clip,
        lora_name=name,
        strength_model=on_model,
        strength_clip=on_clip,
    )
    return link, p.graph.out(link, 1)


@feature("B")
def lora_on_model_and_clip(p: Picture) -> None:
    model, clip = _lora(p, p.models.model, p.models.clip, "ink.safetensors", 0.8, 1.2)
    p.finish(p.sample(model=model, positive=p.text("a red boat", clip)))


@feature("B")
def two_loras_with_strengths_of_their_own(p: Picture) -> None:
    model, clip = _lora(p, p.models.model, p.models.clip, "ink.safetensors", 0.7, 0.0)
    model, clip = _lora(p, model, clip, "kinds.safetensors", -0.5, 0.9)
    p.finish(
        p.sample(model=model, positive=p.text("a red boat", clip), negative=p.text("a house", clip))
    )


@feature("B")
def the_same_lora_twice(p: Picture) -> None:
    model, clip = _lora(p, p.models.model, p.models.clip, "ink.safetensors", 0.5, 0.5)
    model, clip = _lora(p, model, clip, "ink.safetensors", 0.4, 0.3)
    p.finish(p.sample(model=model, positive=p.text("a red boat", clip)))


@feature()
def lora_by_a_hook_on_a_conditioning(p: Picture) -> None:
    hook = p.graph.add("CreateHookLoraModelOnly", lora_name="ink.safetensors", strength_model=0.9)
    positive = p.graph.add(
        "ConditioningSetProperties",
        cond_NEW=p.positive,
        strength=1.0,
        set_cond_area="default",
        hooks=hook,
    )
    p.finish(p.sample(positive=positive))


@feature("B")
def ksampler_advanced_in_two_stages(p: Picture) -> None:
    shared: dict[str, Any] = {
        "noise_seed": 7,
        "steps": 5,
        "cfg": 6.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "model": p.models.model,
        "positive": p.positive,
        "negative": p.negative,
    }
    first = p.graph.add(
        "KSamplerAdvanced",
        add_noise="enable",
        start_at_step=0,
        end_at_step=3,
        return_with_leftover_noise="enable",
        latent_image=p.empty(),
        **shared,
    )
    p.finish(
        p.graph.add(
            "KSamplerAdvanced",
            add_noise="disable",
            start_at_step=3,
            end_at_step=10000,
            return_with_leftover_noise="disable",
            latent_image=first,
            **shared,
        )
    )


def _custom(p: Picture, sampler: Link, output: int = 0, **changed: Any) -> None:
    sigmas = changed.pop("sigmas", None) or p.graph.add(
        "BasicScheduler", model=p.models.model, scheduler="karras", steps=4, denoise=1.0
    )
    samples = p.graph.add(
        "SamplerCustom",
        model=p.models.model,
        add_noise=True,
        noise_seed=11,
        cfg=5.0,
        positive=p.positive,
        negative=p.negative,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=p.empty(),
        **changed,
    )
    p.finish(p.graph.out(samples, output))


@feature("B")
def sampler_custom(p: Picture) -> None:
    _custom(p, p.graph.add("KSamplerSelect", sampler_name="dpmpp_2m"))


@feature("B")
def sampler_custom_with_options(p: Picture) -> None:
    _custom(p, p.graph.add("SamplerEulerAncestral", eta=0.6, s_noise=1.1))


@feature("A")
def denoised_output_of_a_schedule_that_ends_early(p: Picture) -> None:
    whole = p.graph.add(
        "BasicScheduler", model=p.models.model, scheduler="normal", steps=6, denoise=1.0
    )
    _custom(
        p,
        p.graph.add("KSamplerSelect", sampler_name="euler"),
        1,
        sigmas=p.graph.add("SplitSigmas", sigmas=whole, step=3),
    )


def _advanced(p: Picture, guider: Link, sampler: str = "euler") -> None:
    noise = p.graph.add("RandomNoise", noise_seed=5)
    chosen = p.graph.add("KSamplerSelect", sampler_name=sampler)
    sigmas = p.graph.add(
        "BasicScheduler", model=p.models.model, scheduler="simple", steps=3, denoise=1.0
    )
    p.finish(
        p.graph.add(
            "SamplerCustomAdvanced",
            noise=noise,
            guider=guider,
            sampler=chosen,
            sigmas=sigmas,
            latent_image=p.empty(),
        )
    )


@feature("B")
def sampler_custom_advanced_with_cfg_guider(p: Picture) -> None:
    _advanced(
        p,
        p.graph.add(
            "CFGGuider", model=p.models.model, positive=p.positive, negative=p.negative, cfg=4.0
        ),
    )


@feature("B")
def sampler_custom_advanced_with_basic_guider(p: Picture) -> None:
    _advanced(p, p.graph.add("BasicGuider", model=p.models.model, conditioning=p.positive))


@feature("A")
def dual_cfg_guider(p: Picture) -> None:
    _advanced(
        p,
        p.graph.add(
            "DualCFGGuider",
            model=p.models.model,
            cond1=p.positive,
            cond2=p.text("a blue bird"),
            negative=p.negative,
            cfg_conds=3.0,
            cfg_cond2_negative=2.0,
            style="regular",
        ),
    )


def _patched(node: str, **inputs: Any) -> Callable[[Picture], None]:
    def make(p: Picture) -> None:
        p.finish(p.sample(model=p.graph.add(node, model=p.models.model, **inputs), cfg=3.0))

    return make


for _name, _node, _inputs in (
    (
        "model_sampling_v_prediction",
        "ModelSamplingDiscrete",
        {"sampling": "v_prediction", "zsnr": False},
    ),
    (
        "model_sampling_v_prediction_zsnr",
        "ModelSamplingDiscrete",
        {"sampling": "v_prediction", "zsnr": True},
    ),
    ("model_sampling_eps_zsnr", "ModelSamplingDiscrete", {"sampling": "eps", "zsnr": True}),
    ("model_sampling_lcm", "ModelSamplingDiscrete", {"sampling": "lcm", "zsnr": False}),
    ("model_sampling_x0", "ModelSamplingDiscrete", {"sampling": "x0", "zsnr": False}),
    (
        "model_sampling_continuous_edm",
        "ModelSamplingContinuousEDM",
        {"sampling": "v_prediction", "sigma_max": 80.0, "sigma_min": 0.01},
    ),
    (
        "model_sampling_continuous_edm_eps",
        "ModelSamplingContinuousEDM",
        {"sampling": "eps", "sigma_max": 20.0, "sigma_min": 0.02},
    ),
    (
        "model_sampling_continuous_v",
        "ModelSamplingContinuousV",
        {"sampling": "v_prediction", "sigma_max": 100.0, "sigma_min": 0.03},
    ),
    ("rescale_cfg", "RescaleCFG", {"multiplier": 0.6}),
):
    FEATURES.append(Feature(_name, _patched(_node, **_inputs), "A"))


def by_name(name: str) -> Callable[[Picture], None]:
    return next(one.make for one in FEATURES if one.name == name)


@feature("B")
def image_to_image(p: Picture) -> None:
    p.finish(
        p.sample(
            latent_image=p.graph.add("VAEEncode", pixels=p.image(), vae=p.models.vae),
            denoise=0.5,
            steps=4,
        )
    )


@feature("B")
def set_latent_noise_mask(p: Picture) -> None:
    latent = p.graph.add("VAEEncode", pixels=p.image(), vae=p.models.vae)
    p.finish(
        p.sample(
            latent_image=p.graph.add("SetLatentNoiseMask", samples=latent, mask=p.mask()),
            denoise=0.7,
            steps=4,
        )
    )


@feature()
def differential_diffusion(p: Picture) -> None:
    latent = p.graph.add("VAEEncode", pixels=p.image(), vae=p.models.vae)
    latent = p.graph.add("SetLatentNoiseMask", samples=latent, mask=p.mask())
    model = p.graph.add("DifferentialDiffusion", model=p.models.model)
    p.finish(p.sample(model=model, latent_image=latent, denoise=0.8, steps=4))


@feature("B")
def vae_encode_for_inpaint(p: Picture) -> None:
    p.finish(
        p.sample(
            latent_image=p.graph.add(
                "VAEEncodeForInpaint",
                pixels=p.image(),
                vae=p.models.vae,
                mask=p.mask(),
                grow_mask_by=6,
            )
        )
    )


@feature("B")
def inpaint_model_conditioning(p: Picture) -> None:
    made = p.graph.add(
        "InpaintModelConditioning",
        positive=p.positive,
        negative=p.negative,
        vae=p.models.vae,
        pixels=p.image(),
        mask=p.mask(),
        noise_mask=True,
    )
    p.finish(
        p.sample(positive=made, negative=p.graph.out(made, 1), latent_image=p.graph.out(made, 2))
    )


@feature()
def tiled_vae(p: Picture) -> None:
    latent = p.graph.add(
        "VAEEncodeTiled",
        pixels=p.image(),
        vae=p.models.vae,
        tile_size=64,
        overlap=0,
        temporal_size=64,
        temporal_overlap=8,
    )
    p.save(
        p.graph.add(
            "VAEDecodeTiled",
            samples=latent,
            vae=p.models.vae,
            tile_size=64,
            overlap=0,
            temporal_size=64,
            temporal_overlap=8,
        )
    )


def _combined(p: Picture, extra: Link) -> None:
    p.finish(
        p.sample(
            positive=p.graph.add(
                "ConditioningCombine", conditioning_1=p.positive, conditioning_2=extra
            )
        )
    )


@feature("B")
def conditioning_set_area(p: Picture) -> None:
    _combined(
        p,
        p.graph.add(
            "ConditioningSetArea",
            conditioning=p.text("a yellow moon"),
            width=p.size,
            height=p.size // 2 if p.size >= 128 else p.size,
            x=8,
            y=0,
            strength=1.4,
        ),
    )


@feature("B")
def conditioning_set_area_percentage(p: Picture) -> None:
    _combined(
        p,
        p.graph.add(
            "ConditioningSetAreaPercentage",
            conditioning=p.text("a yellow moon"),
            width=0.6,
            height=0.5,
            x=0.3,
            y=0.4,
            strength=0.9,
        ),
    )


@feature("B")
def conditioning_set_mask(p: Picture) -> None:
    _combined(
        p,
        p.graph.add(
            "ConditioningSetMask",
            conditioning=p.text("a yellow moon"),
            mask=p.mask(),
            strength=0.8,
            set_cond_area="default",
        ),
    )


@feature("B")
def conditioning_set_mask_with_bounds(p: Picture) -> None:
    _combined(
        p,
        p.graph.add(
            "ConditioningSetMask",
            conditioning=p.text("a yellow moon"),
            mask=p.mask(),
            strength=1.0,
            set_cond_area="mask bounds",
        ),
    )


@feature("B")
def conditioning_combine(p: Picture) -> None:
    _combined(p, p.text("a yellow moon"))


@feature("B")
def conditioning_concat(p: Picture) -> None:
    p.finish(
        p.sample(
            positive=p.graph.add(
                "ConditioningConcat",
                conditioning_to=p.positive,
                conditioning_from=p.text("a yellow moon"),
            )
        )
    )


@feature("B")
def conditioning_average(p: Picture) -> None:
    p.finish(
        p.sample(
            positive=p.graph.add(
                "ConditioningAverage",
                conditioning_to=p.positive,
                conditioning_from=p.text("a yellow moon"),
                conditioning_to_strength=0.3,
            )
        )
    )


@feature("B")
def conditioning_set_timestep_range(p: Picture) -> None:
    early = p.graph.add("ConditioningSetTimestepRange", conditioning=p.positive, start=0.0, end=0.4)
    late = p.graph.add(
        "ConditioningSetTimestepRange", conditioning=p.text("a yellow moon"), start=0.4, end=1.0
    )
    p.finish(
        p.sample(
            positive=p.graph.add("ConditioningCombine", conditioning_1=early, conditioning_2=late),
            steps=5,
        )
    )


@feature("B")
def conditioning_zero_out(p: Picture) -> None:
    p.finish(p.sample(negative=p.graph.add("ConditioningZeroOut", conditioning=p.positive)))


@feature("B")
def pictures_of_a_batch_by_index(p: Picture) -> None:
    latent = p.graph.add("LatentFromBatch", samples=p.empty(3), batch_index=1, length=2)
    p.finish(p.sample(latent_image=latent, sampler_name="dpmpp_sde"))
