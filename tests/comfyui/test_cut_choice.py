"""The daemon gets the whole trajectory when all of it is data; each Python function in the way is
told by name."""

from typing import Any

import comfy.samplers
import latent_preview
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfyui_luna import unserved
from comfyui_luna.cut_choice import StepByStep, choose, entries
from comfyui_luna.preview_callback import StepCallback
from comfyui_luna.trajectory import KEY
from small_models import FakeServed, remote_patcher

COND = [torch.zeros(1, 77, 48), {"pooled_output": torch.zeros(1, 48)}]
SIGMAS = torch.tensor([14.6, 3.0, 0.0])


@pytest.fixture(scope="module")
def patcher():
    return remote_patcher(FakeServed())


def guider_of(patcher: Any, positive: Any = None, kind: type = comfy.samplers.CFGGuider) -> Any:
    """As CFGGuider.sample() has it when it calls the wrappers."""
    guider = kind(patcher.clone())
    guider.set_conds([COND] if positive is None else positive, [COND])
    guider.set_cfg(5.0)
    guider.conds = {
        name: [entry.copy() for entry in entries] for name, entries in guider.original_conds.items()
    }
    guider.model_options = comfy.model_patcher.create_model_options_clone(guider.model_options)
    comfy.sampler_helpers.prepare_model_patcher(
        guider.model_patcher, guider.conds, guider.model_options
    )
    return guider


def chosen(
    guider: Any,
    sampler: str = "euler",
    sigmas: torch.Tensor = SIGMAS,
    callback: Any = None,
    seed: int | None = 3,
) -> Any:
    return choose(guider, comfy.samplers.sampler_object(sampler), sigmas, callback, seed, KEY)


def test_a_plain_ksampler_is_a_trajectory(patcher) -> None:
    trajectory = chosen(guider_of(patcher), "dpmpp_2m")
    assert (trajectory.sampler.name, trajectory.cfg, trajectory.seed) == ("dpmpp_2m", 5.0, 3)
    assert len(trajectory.positive) == len(trajectory.negative) == 1


def test_a_basic_guider_is_a_trajectory_without_a_negative(patcher) -> None:
    from comfy_extras.nodes_custom_sampler import Guider_Basic

    guider = Guider_Basic(patcher)
    guider.set_conds([COND])
    guider.conds = {"positive": [entry.copy() for entry in guider.original_conds["positive"]]}
    assert chosen(guider).negative is None


def _cfg_function(patcher: Any) -> None:
    patcher.set_model_sampler_cfg_function(lambda args: args["cond"])


def _post_cfg(patcher: Any) -> None:
    patcher.set_model_sampler_post_cfg_function(lambda args: args["denoised"])


def _mask_function(patcher: Any) -> None:
    patcher.set_model_denoise_mask_function(lambda *_: None)


def _model_wrapper(patcher: Any) -> None:
    patcher.set_model_unet_function_wrapper(
        lambda apply, args: apply(args["input"], args["timestep"], **args["c"])
    )


def _foreign_wrapper(patcher: Any) -> None:
    patcher.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "lazy_cache", lambda *_: None)


def _sampling(patcher: Any) -> None:
    patcher.add_object_patch("model_sampling", object())


@pytest.mark.parametrize(
    "change, said",
    [
        (_cfg_function, "sampler_cfg_function"),
        (_post_cfg, "sampler_post_cfg_function"),
        (_mask_function, "denoise_mask_function"),
        (_model_wrapper, "model_function_wrapper"),
        (_foreign_wrapper, "predict_noise of 'lazy_cache'"),
        (_sampling, "model_sampling"),
        (lambda patcher: patcher.disable_model_cfg1_optimization(), "disable_cfg1_optimization"),
    ],
)
def test_python_around_the_network_is_step_by_step_and_named(
    patcher, change: Any, said: str
) -> None:
    changed = patcher.clone()
    change(changed)
    with pytest.raises(StepByStep, match=said):
        chosen(guider_of(changed))


def test_a_guider_with_code_of_its_own_is_step_by_step(patcher) -> None:
    class Mine(comfy.samplers.CFGGuider):
        def predict_noise(self, *args: Any, **named: Any) -> torch.Tensor:
            return super().predict_noise(*args, **named) * 2

    with pytest.raises(StepByStep, match="Mine: predict_noise"):
        chosen(guider_of(patcher, kind=Mine))


def test_a_guider_that_only_sets_its_conditioning_differently_is_a_trajectory(patcher) -> None:
    class Renamed(comfy.samplers.CFGGuider):
        def set_cfg(self, cfg: float) -> None:
            self.cfg = cfg / 2

    assert chosen(guider_of(patcher, kind=Renamed)).cfg == 2.5


@pytest.mark.parametrize(
    "key, value", [("control", object()), ("unclip_conditioning", []), ("my_pack", 1.0)]
)
def test_a_conditioning_that_the_wire_lacks_is_step_by_step(
    patcher, key: str, value: object
) -> None:
    if value == []:
        value = [torch.zeros(1)]
    with pytest.raises(StepByStep, match=key):
        entries([{"cross_attn": COND[0], "uuid": 1, "model_conds": {}, key: value}])


def test_areas_masks_ranges_and_sizes_of_a_conditioning_are_data() -> None:
    (made,) = entries(
        [
            {
                "cross_attn": COND[0],
                "area": ("percentage", 0.5, 0.6, 0.1, 0.2),
                "mask": torch.ones(1, 8, 8),
                "strength": 0.7,
                "mask_strength": 0.6,
                "set_area_to_bounds": True,
                "start_percent": 0.2,
                "width": 512,
                "pooled_output": None,
                "uuid": 1,
                "model_conds": {},
            }
        ]
    )
    assert made.area.fractional and (made.area.height, made.area.x) == (0.5, 0.2)
    assert (made.strength, made.mask_strength, made.start_percent, made.numbers) == (
        0.7,
        0.6,
        0.2,
        {"width": 512.0},
    )
    assert made.set_area_to_bounds and made.mask.shape == (1, 8, 8)


def test_no_seed_and_another_pack_s_callback_are_step_by_step(patcher) -> None:
    with pytest.raises(StepByStep, match="no seed"):
        chosen(guider_of(patcher), seed=None)
    with pytest.raises(StepByStep, match="watches the steps"):
        chosen(guider_of(patcher), callback=lambda *_: None)


def test_x0_is_given_only_where_the_result_is_x0(patcher) -> None:
    def callback() -> Any:
        return latent_preview.prepare_callback(patcher, 2, {})

    assert chosen(guider_of(patcher), callback=callback()).callback.wants_x0
    with pytest.raises(StepByStep, match="denoised_output"):
        chosen(guider_of(patcher), sigmas=torch.tensor([14.6, 3.0]), callback=callback())
    with pytest.raises(StepByStep, match="denoised_output"):
        chosen(guider_of(patcher), "uni_pc", callback=callback())


def test_the_bar_of_comfyui_s_callback_is_fed_from_outside(patcher) -> None:
    out: dict[str, Any] = {}
    steps = StepCallback.of(latent_preview.prepare_callback(patcher, 4, out))
    steps.step(3, 4, None)
    steps.finished("x0")
    assert (steps.bar.current, steps.bar.total, out) == (3, 4, {"x0": "x0"})
    assert StepCallback.of(None) == StepCallback()


def test_functions_inside_the_network_are_refused_by_name_with_what_to_do(patcher) -> None:
    changed = patcher.clone()
    changed.set_model_attn2_patch(lambda *_: None)
    changed.set_model_attn1_replace(lambda *_: None, "input", 1)
    with pytest.raises(unserved.UnservedByLuna, match=r"'attn2_patch'.*'attn1'.*force_local"):
        unserved.refuse(unserved.inside_network(changed.model_options["transformer_options"]))
    assert unserved.of_conditioning({"positive": [{"control": object()}, {"gligen": ("a",)}]}) == [
        "GLIGEN",
        "a ControlNet",
    ]
