"""What went in as torch comes back as torch."""

import numpy as np
import pytest
from daemon import CHECKPOINT

import luna_client

torch = pytest.importorskip("torch", reason="no torch in this Python", exc_type=ImportError)


@pytest.fixture
def vae(luna):
    return luna.get_model_proxies(models=CHECKPOINT).vae


@pytest.mark.parametrize("edge", [64, 256])
def test_the_same_values_as_with_numpy_by_every_plane(daemon, edge):
    pixels = torch.rand(1, edge, edge, 3)
    for plane in ("inline", "shm"):
        with luna_client.connect(daemon.address, plane=plane) as luna:
            vae = luna.get_model_proxies(models=CHECKPOINT).vae
            latent = vae.encode(pixels)
            assert isinstance(latent, torch.Tensor) and latent.device == pixels.device
            assert np.array_equal(latent.numpy(), vae.encode(pixels.numpy()))
            decoded = vae.decode(latent)
            assert isinstance(decoded, torch.Tensor)
            decoded += 1  # its own memory
            assert np.array_equal(decoded.numpy() - 1, vae.decode(latent.numpy()) + 1 - 1)


def test_calls_without_a_tensor_give_what_the_client_was_made_for(daemon):
    with luna_client.connect(daemon.address, tensors="torch") as luna:
        model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
        prompt = clip.encode("a cup")
        assert isinstance(prompt[0].cross_attn, torch.Tensor)
        sampled = model.sample((2, 4, 8, 8), prompt.to_comfy(), prompt, steps=1)
        assert isinstance(sampled.latent, torch.Tensor) and sampled.latent.shape == (2, 4, 8, 8)
        assert isinstance(
            luna.generate("a cup", models=CHECKPOINT, width=64, steps=1).pictures, torch.Tensor
        )


def test_an_evaluation_takes_apply_models_arguments(luna):
    model, clip, _ = luna.get_model_proxies(models=CHECKPOINT)
    prompt = clip.encode("a cup")
    x = torch.randn(2, 4, 8, 8)
    result = model.denoise(x, torch.tensor([3.0, 2.0]), prompt)
    assert isinstance(result.batch, torch.Tensor) and result.batch.shape == x.shape


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float8_e4m3fn", "bool", "int64", "float64"]
)
def test_types_that_numpy_lacks_go_up_and_down(luna, vae, dtype):
    values = torch.arange(100).to(getattr(torch, dtype))
    tensor = luna.upload(values, workflow_id=vae.workflow_id)
    assert torch.equal(
        luna.download(tensor, tensors="torch").to(torch.float32), values.to(torch.float32)
    )


def test_what_numpy_lacks_is_told_so(luna, vae):
    tensor = luna.upload(torch.zeros(4, dtype=torch.bfloat16), workflow_id=vae.workflow_id)
    with pytest.raises(luna_client.InvalidRequest, match="numpy has no bf16"):
        luna.download(tensor, tensors="numpy")


def test_views_gradients_and_other_strides_are_no_matter(luna, vae):
    values = torch.arange(24.0, requires_grad=True).reshape(4, 6).T[::2]
    tensor = luna.upload(values, workflow_id=vae.workflow_id)
    assert torch.equal(luna.download(tensor, tensors="torch"), values)


def test_the_arena_lends_torch_tensors_too(luna, vae):
    lent = luna.empty((1, 256, 256, 3), tensors="torch")
    lent.copy_(torch.rand(lent.shape))
    assert torch.equal(vae.encode(lent), vae.encode(lent.clone()))
