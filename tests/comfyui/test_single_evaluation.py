"""One evaluation asks the daemon for what BaseModel._apply_model is given, row by row."""

import comfy.model_sampling
import pytest
import torch
from comfyui_luna.unserved import UnservedByLuna
from small_models import FakeServed, remote_patcher

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
SIGMA = torch.tensor([5.0, 0.7])
CONTEXT = torch.randn(2, 77, 48, generator=torch.Generator().manual_seed(2))


def loaded(served: FakeServed, sampling: object = None):
    patcher = remote_patcher(served).clone()
    if sampling is not None:
        patcher.add_object_patch("model_sampling", sampling)
    patcher.partially_load(torch.device("cpu"))
    patcher.pre_run()
    return patcher


def test_each_row_has_its_own_state_sigma_and_context() -> None:
    served = FakeServed()
    model = loaded(served).model
    denoised = model.apply_model(X, SIGMA, c_crossattn=CONTEXT)
    assert torch.equal(denoised, X * 0.5)
    for row, asked in enumerate(served.rows):
        assert (
            torch.equal(asked.x, X[row]) and asked.sigma == float(SIGMA[row]) and not asked.extras
        )
        assert torch.equal(asked.conditioning.cross_attn, CONTEXT[row : row + 1])


def test_y_and_c_concat_go_with_the_row_and_one_row_of_them_counts_for_all() -> None:
    served = FakeServed()
    y, concat = torch.arange(12.0).reshape(2, 6), torch.ones(1, 5, 8, 8)
    loaded(served).model.apply_model(X, SIGMA, c_concat=concat, c_crossattn=CONTEXT, y=y)
    assert torch.equal(served.rows[1].extras["y"], y[1:]) and torch.equal(
        served.rows[1].extras["c_concat"], concat
    )


def test_another_way_of_sampling_feeds_the_network_itself_and_turns_its_output_into_x0() -> None:
    class VPrediction(
        comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION
    ):
        pass

    served, sampling = FakeServed(lambda row: row.x * 3), VPrediction(zsnr=True)
    denoised = loaded(served, sampling).model.apply_model(X, SIGMA, c_crossattn=CONTEXT)
    fed = sampling.calculate_input(SIGMA, X)
    assert torch.equal(torch.stack([row.x for row in served.rows]), fed)
    assert [float(row.extras["timestep"]) for row in served.rows] == [
        float(t) for t in sampling.timestep(SIGMA)
    ]
    assert torch.equal(denoised, sampling.calculate_denoised(SIGMA, fed * 3, X))


def test_the_model_s_own_sampling_returns_when_the_patched_clone_is_unloaded() -> None:
    served = FakeServed()
    patcher = loaded(served, comfy.model_sampling.ModelSamplingDiscrete())
    patcher.detach()
    assert patcher.model.model_sampling is served.sampling


@pytest.mark.parametrize(
    "given, said",
    [
        ({"control": {"output": []}}, "a ControlNet"),
        ({"guidance": torch.ones(2)}, "the model's input 'guidance'"),
        ({"c_crossattn": None}, "without text"),
    ],
)
def test_what_the_daemon_does_not_take_is_refused_by_name(given: dict, said: str) -> None:
    with pytest.raises(UnservedByLuna, match=said):
        loaded(FakeServed()).model.apply_model(X, SIGMA, **{"c_crossattn": CONTEXT, **given})


def test_a_function_inside_the_network_is_refused_at_the_evaluation_too() -> None:
    options = {"patches": {"output_block_patch": [lambda *_: None]}}
    with pytest.raises(UnservedByLuna, match="output_block_patch"):
        loaded(FakeServed()).model.apply_model(
            X, SIGMA, c_crossattn=CONTEXT, transformer_options=options
        )
