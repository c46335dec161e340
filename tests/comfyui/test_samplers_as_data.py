"""ComfyUI's SAMPLER objects have names; anybody else's code has none."""

import comfy.k_diffusion.sampling
import comfy.samplers
import pytest
from comfyui_luna.sampler_names import NamedSampler, named_sampler


@pytest.mark.parametrize("name", comfy.samplers.SAMPLER_NAMES)
def test_every_sampler_of_comfyui_is_known_by_the_name_that_made_it(name: str) -> None:
    assert named_sampler(comfy.samplers.sampler_object(name)) == NamedSampler(name, {})


def test_options_travel_as_numbers() -> None:
    sampler = comfy.samplers.ksampler("euler_ancestral", {"eta": 0.5, "s_noise": 1})
    assert named_sampler(sampler) == NamedSampler("euler_ancestral", {"eta": 0.5, "s_noise": 1.0})


def test_options_that_are_no_numbers_have_no_name() -> None:
    assert "solver_type" in named_sampler(
        comfy.samplers.ksampler("dpmpp_2m_sde", {"solver_type": "heun"})
    )


def test_a_function_of_another_pack_has_no_name() -> None:
    def sample_mine(*_: object, **__: object) -> None:
        """Nothing of ComfyUI's."""

    assert "sample_mine" in named_sampler(comfy.samplers.KSAMPLER(sample_mine))


def test_a_sampler_class_of_another_pack_has_no_name() -> None:
    class Mine(comfy.samplers.KSAMPLER):
        pass

    assert "Mine" in named_sampler(Mine(comfy.k_diffusion.sampling.sample_euler))


def test_noise_drawn_anew_for_inpainting_is_ddim_s_alone() -> None:
    assert (
        named_sampler(comfy.samplers.ksampler("euler", inpaint_options={"random": True})).name
        == "ddim"
    )
    assert "noise anew" in named_sampler(
        comfy.samplers.ksampler("heun", inpaint_options={"random": True})
    )
    assert "other" in named_sampler(comfy.samplers.ksampler("heun", inpaint_options={"other": 1}))


def test_only_samplers_whose_last_step_is_x0_are_said_to_end_there() -> None:
    assert NamedSampler("euler", {}).ends_at_x0 and NamedSampler("dpmpp_2m", {}).ends_at_x0
    assert not NamedSampler("uni_pc", {}).ends_at_x0 and not NamedSampler("lms", {}).ends_at_x0
