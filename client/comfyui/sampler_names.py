"""ComfyUI's SAMPLER objects as names and options, for samplings that the daemon runs as a whole."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import comfy.extra_samplers.uni_pc
import comfy.k_diffusion.sampling
import comfy.samplers

# Their last step, to sigma 0, ends at its x0.
_END_AT_X0 = frozenset(
    {
        "euler",
        "euler_ancestral",
        "heun",
        "dpm_2",
        "dpm_2_ancestral",
        "dpmpp_2s_ancestral",
        "dpmpp_sde",
        "dpmpp_sde_gpu",
        "dpmpp_2m",
        "dpmpp_2m_sde",
        "dpmpp_2m_sde_gpu",
        "dpmpp_2m_sde_heun",
        "dpmpp_2m_sde_heun_gpu",
        "dpmpp_3m_sde",
        "dpmpp_3m_sde_gpu",
        "lcm",
        "res_multistep",
        "res_multistep_ancestral",
        "ddim",
    }
)


class NamedSampler(NamedTuple):
    name: str
    options: dict[str, float]

    @property
    def ends_at_x0(self) -> bool:
        return self.name in _END_AT_X0


def _function_names() -> dict[Any, str]:
    names = {
        comfy.extra_samplers.uni_pc.sample_unipc: "uni_pc",
        comfy.extra_samplers.uni_pc.sample_unipc_bh2: "uni_pc_bh2",
    }
    for name in comfy.samplers.KSAMPLER_NAMES:
        function = getattr(comfy.k_diffusion.sampling, f"sample_{name}", None)
        if function is not None and name not in ("dpm_fast", "dpm_adaptive"):
            names[function] = name
    return names


def _name_of(function: Any) -> str | None:
    # These two are closures that comfy/samplers.py makes anew for each sampler.
    for name in ("dpm_fast", "dpm_adaptive"):
        if getattr(function, "__qualname__", "") == f"ksampler.<locals>.{name}_function":
            return name
    return _function_names().get(function)


def _numbers(options: Mapping[str, Any]) -> dict[str, float] | None:
    if not all(isinstance(value, (int, float)) for value in options.values()):
        return None
    return {name: float(value) for name, value in options.items()}


def named_sampler(sampler: Any) -> NamedSampler | str:
    """The daemon's name of a sampler, or a sentence that says why it has none."""
    if type(sampler) is not comfy.samplers.KSAMPLER:
        return f"the sampler is another pack's ({type(sampler).__name__})"
    name = _name_of(sampler.sampler_function)
    if name is None:
        function = getattr(sampler.sampler_function, "__name__", "?")
        return f"the sampler function '{function}' is another pack's"
    options = _numbers(sampler.extra_options)
    if options is None:
        given = ", ".join(sorted(sampler.extra_options))
        return f"the sampler's options are more than numbers ({given})"
    inpaint = dict(sampler.inpaint_options)
    if inpaint.pop("random", False):
        name = "ddim" if name == "euler" else name
        if name != "ddim":
            return "the sampler draws noise anew for inpainting"
    if inpaint:
        return f"the sampler has inpaint options ({', '.join(sorted(inpaint))})"
    return NamedSampler(name, options)
