"""Every call against a real daemon."""

import itertools

import numpy as np
import pytest
from daemon import CHECKPOINT, LORA

import luna_client
from luna_client import DenoiseRow, Lora, Noise, Row, SamplerRun

SIZE = (4, 8, 8)
SD15_LATENT_SCALE = 0.18215


def apart(one, other):
    """The largest difference, beside the largest value."""
    return np.abs(one - other).max() / np.abs(other).max()


def test_tokens_are_comfyuis_pairs_and_encode_to_what_their_text_does(proxies):
    tokens = proxies.clip.tokenize("a (red:1.5) boat")
    ids = [token for token, _ in tokens["l"][0]]
    weights = {round(weight, 4) for _, weight in tokens["l"][0]}
    assert ids[0] == 49406 and len(ids) == 77
    assert weights == {1.0, 1.5}
    by_text, by_tokens = proxies.clip.encode("a (red:1.5) boat"), proxies.clip.encode(tokens=tokens)
    assert np.array_equal(by_text[0].cross_attn, by_tokens[0].cross_attn)
    assert np.array_equal(by_text[0].pooled, by_tokens[0].pooled)


def test_a_textual_inversion_becomes_vectors_and_one_that_is_missing_a_warning(proxies):
    tokens = proxies.clip.tokenize("embedding:luna-moonrise")
    assert any(isinstance(token, np.ndarray) for token, _ in tokens["l"][0])
    missing = proxies.clip.encode("a cup, embedding:nowhere")
    assert any("nowhere" in warning for warning in missing.warnings)


def test_text_encoding_takes_clip_skip_and_loras(proxies):
    plain = proxies.clip.encode("a cup")[0].cross_attn
    assert plain.shape[0] == 1 and plain.shape[1] == 77 and plain.dtype == np.float32
    assert not np.array_equal(plain, proxies.clip.with_clip_skip(2).encode("a cup")[0].cross_attn)
    pencil = proxies.clip.with_loras(Lora(LORA.name, 1.0))
    assert pencil.loras == (Lora(LORA.name, 1.0),)
    assert pencil.encode("a cup")[0].cross_attn.shape == plain.shape


def test_pixels_go_to_a_latent_and_back(proxies):
    pixels = np.full((1, 64, 72, 3), 0.5, np.float32)
    latent = proxies.vae.encode(pixels)
    assert latent.shape == (1, 4, 8, 9)
    decoded = proxies.vae.decode(latent)
    assert decoded.shape == pixels.shape and decoded.dtype == np.float32
    assert 0 <= decoded.min() and decoded.max() <= 1
    as_u8 = proxies.vae.decode(latent, as_u8=True)
    assert as_u8.dtype == np.uint8
    assert np.abs(as_u8 / 255 - decoded).max() < 0.01
    tiled = proxies.vae.decode(latent, tile=64, overlap=16)
    assert tiled.shape == decoded.shape


def test_u8_and_float_pixels_mean_the_same(proxies):
    pixels = (np.arange(64 * 64 * 3) % 256).astype(np.uint8).reshape(1, 64, 64, 3)
    as_float = pixels.astype(np.float32) / np.float32(255)
    assert np.allclose(proxies.vae.encode(pixels), proxies.vae.encode(as_float), atol=1e-5)


def test_a_sampling_tells_its_steps_sigmas_and_evaluations(proxies, prompts):
    told = []
    result = proxies.model.sample(SIZE, *prompts, seed=1, steps=4, on_progress=told.append)
    assert [step.step for step in told] == [1, 2, 3, 4]
    assert told[0].steps == 4 and told[0].rows_in_batch >= 2
    assert len(result.sigmas) == 5 and result.sigmas[-1] == 0
    assert result.evaluations == 8
    assert result.latent.shape == (1, *SIZE)
    assert result.planes == ["inline"]


def test_the_same_seed_gives_the_same_bits_and_another_one_others(proxies, prompts):
    first = proxies.model.sample(SIZE, *prompts, seed=1, steps=2).latent
    assert np.array_equal(first, proxies.model.sample(SIZE, *prompts, seed=1, steps=2).latent)
    assert not np.array_equal(first, proxies.model.sample(SIZE, *prompts, seed=2, steps=2).latent)


def test_conditioning_may_be_typed_or_comfyuis_lists(proxies, prompts):
    typed = proxies.model.sample(SIZE, *prompts, seed=1, steps=2).latent
    listed = proxies.model.sample(
        SIZE, *(each.to_comfy() for each in prompts), seed=1, steps=2
    ).latent
    assert np.array_equal(typed, listed)


def test_a_batch_is_one_draw_of_noise_and_its_rows_are_those_of_single_calls(
    luna, proxies, prompts
):
    batch = proxies.model.sample((2, *SIZE), *prompts, seed=5, steps=2)
    rows = [Row(SIZE, *prompts, Noise(5, 2, index)) for index in range(2)]
    single = [proxies.model.sample_rows([row], SamplerRun(steps=2)).latents[0] for row in rows]
    assert apart(batch.latent, np.stack(single)) < 1e-4


def test_rows_of_one_call_have_their_own_seeds_guidance_and_loras(proxies, prompts):
    pencil = Lora(LORA.name, 1.0, clip_strength=0.0)
    rows = [
        Row(SIZE, *prompts, Noise(1), cfg=7.0),
        Row(SIZE, *prompts, Noise(1), cfg=3.0),
        Row(SIZE, *prompts, Noise(1), cfg=7.0, loras=[pencil]),
        Row(SIZE, *prompts, Noise(2), cfg=1.0),
    ]
    result = proxies.model.sample_rows(rows, SamplerRun(steps=2))
    assert [latent.shape for latent in result.latents] == [SIZE] * 4
    assert not np.array_equal(result.latents[0], result.latents[1])
    assert not np.array_equal(result.latents[0], result.latents[2])
    alone = proxies.model.sample_rows(rows[2:3], SamplerRun(steps=2)).latents[0]
    assert apart(alone, result.latents[2]) < 1e-3
    assert [each.application == "auto" for each in result.loras] == [True, True, False, True]


def test_own_noise_replaces_the_draw_and_no_noise_starts_from_the_latent(proxies, prompts):
    noise = np.random.default_rng(0).standard_normal((1, *SIZE)).astype(np.float32)
    latent = np.zeros((1, *SIZE), np.float32)
    one = proxies.model.sample(latent, *prompts, noise=noise, steps=2).latent
    assert np.array_equal(one, proxies.model.sample(latent, *prompts, noise=noise, steps=2).latent)
    assert not np.array_equal(
        one, proxies.model.sample(latent, *prompts, noise=-noise, steps=2).latent
    )
    still = [
        proxies.model.sample(noise, *prompts, add_noise=False, seed=seed, steps=2)
        for seed in (1, 2)
    ]
    assert np.array_equal(still[0].latent, still[1].latent)


def test_what_a_mask_keeps_is_the_start(proxies, prompts):
    start = np.random.default_rng(0).standard_normal((1, *SIZE)).astype(np.float32)
    mask = np.zeros((1, 1, 64, 64), np.float32)
    mask[..., :32] = 1
    masked = proxies.model.sample(start, *prompts, noise_mask=mask, denoise=0.5, steps=4).latent
    assert np.allclose(masked[..., 5:], start[..., 5:], atol=1e-5)
    assert not np.allclose(masked[..., :4], start[..., :4], atol=1e-2)


def test_own_sigmas_are_the_ones_that_were_used(proxies, prompts):
    result = proxies.model.sample(SIZE, *prompts, sigmas=[10.0, 2.0, 0.5, 0.0])
    assert result.sigmas == [10.0, 2.0, 0.5, 0.0]


def test_one_evaluation_is_what_a_one_step_euler_makes_of_it(proxies, prompts):
    x = np.random.default_rng(1).standard_normal((2, *SIZE)).astype(np.float32) * 5
    result = proxies.model.denoise(x, [5.0, 2.5], prompts[0])
    assert result.batch.shape == x.shape and len(result.denoised) == 2
    one = proxies.model.denoise(x[1:], 2.5, prompts[0])
    assert np.allclose(one.batch[0], result.batch[1], atol=1e-4)


def test_an_euler_sampler_of_ones_own_is_the_servers(proxies, prompts):
    sigmas = proxies.model.sample(SIZE, *prompts, seed=3, steps=3).sigmas
    noise = np.random.default_rng(2).standard_normal((1, *SIZE)).astype(np.float32)
    theirs = proxies.model.sample(
        np.zeros_like(noise), *prompts, noise=noise, sigmas=sigmas, cfg=7.0
    ).latent
    x = noise * np.float32(np.sqrt(1 + sigmas[0] ** 2))
    for sigma, sigma_next in itertools.pairwise(sigmas):
        both = proxies.model.denoise(
            np.concatenate([x, x]), sigma, [*prompts[0], *prompts[1]]
        ).batch
        denoised = both[1:] + (both[:1] - both[1:]) * np.float32(7)
        x = x + (x - denoised) / np.float32(sigma) * np.float32(sigma_next - sigma)
    assert apart(x / np.float32(SD15_LATENT_SCALE), theirs) < 1e-3


def test_rows_of_an_evaluation_may_differ_in_everything(proxies, prompts, luna):
    x = np.ones(SIZE, np.float32)
    rows = [
        DenoiseRow(x, 3.0, prompts[0]),
        DenoiseRow(np.ones((4, 8, 16), np.float32), 1.0, prompts[1], loras=[Lora(LORA.name, 0.5)]),
    ]
    result = luna.denoise_rows(rows, workflow_id=proxies.model.workflow_id)
    assert [each.shape for each in result.denoised] == [SIZE, (4, 8, 16)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (dict(latent=(4, 8)), "expected \\[B, C, h, w\\]"),
        (dict(latent=np.zeros((1, 5, 8, 8), np.float32)), "latent"),
        (dict(latent=np.zeros((1, 4, 8, 8), np.complex64)), "complex64 does not travel"),
        (dict(latent="empty"), "expected a tensor or a shape"),
        (dict(positive="a red boat"), "clip_encode"),
        (dict(noise=np.zeros((2, 4, 8, 8), np.float32)), "expected 1 rows"),
        (dict(noise_mask=np.zeros((1, 2, 8, 8), np.float32)), "noise_mask: expected"),
        (dict(sampler_options={"no_such": 1.0}), "no_such"),
        (dict(lora_application="sideways"), "lora_application 'sideways'"),
    ],
)
def test_a_wrong_sampling_is_refused_with_what_was_expected(proxies, prompts, wrong, said):
    request = {"latent": SIZE, "positive": prompts[0], "negative": prompts[1], "steps": 1, **wrong}
    with pytest.raises(luna_client.InvalidRequest, match=said):
        proxies.model.sample(**request)


def test_model_files_are_listed_and_looked_into(luna):
    files = luna.models.list().files
    assert any((file.folder, file.file) == ("checkpoints", CHECKPOINT) for file in files)
    assert all(file.folder == "loras" for file in luna.models.list("loras").files)
    components = luna.models.inspect(CHECKPOINT).components
    assert {component.family for component in components} >= {"sd1"}
    tensors = luna.models.inspect(CHECKPOINT, tensors=True).tensors
    assert "model.diffusion_model.out.2.weight" in {tensor.name for tensor in tensors}


def test_a_model_is_loaded_pinned_and_taken_off_again(luna):
    loaded = luna.models.load("vae", "luna-scenes-vae.safetensors")
    assert loaded.resident_bytes > 0
    path = luna.models.pin("luna-scenes-vae.safetensors")
    assert path in luna.status().pinned_files
    with pytest.raises(luna_client.FailedPrecondition):
        luna.models.unload("luna-scenes-vae.safetensors")
    assert luna.models.unpin("luna-scenes-vae.safetensors") == path
    assert luna.models.offload("luna-scenes-vae.safetensors").freed_bytes > 0
    assert len(luna.models.restore("luna-scenes-vae.safetensors").restored) == 1
    assert luna.models.unload("luna-scenes-vae.safetensors").freed_bytes > 0
    with pytest.raises(luna_client.NotFound):
        luna.models.unpin("luna-scenes-vae.safetensors")
    with pytest.raises(luna_client.InvalidRequest, match="slot 'vea'"):
        luna.models.load("vea", "luna-scenes-vae.safetensors")


def test_workflows_are_registered_renewed_listed_and_released(luna):
    models = {"checkpoint": CHECKPOINT, "vae": "luna-scenes-vae.safetensors"}
    workflow = luna.register_workflow(
        models, workflow_id="shop", model_type="SD1.5", precision={"vae": "f32"}, ttl=60
    )
    assert workflow.ttl_seconds == 60 and workflow.components
    assert 0 < luna.renew_workflow("shop") <= 60
    assert "shop" in {each.workflow_id for each in luna.list_workflows()}
    luna.release_workflow("shop")
    with pytest.raises(luna_client.NotFound):
        luna.renew_workflow("shop")


def test_equal_sets_share_a_registration_without_a_name(luna):
    one, two = (
        luna.register_workflow(CHECKPOINT),
        luna.register_workflow({"checkpoint": CHECKPOINT}),
    )
    assert one.workflow_id == two.workflow_id


def test_the_wrong_model_type_is_told_before_anything_is_made(luna):
    with pytest.raises(luna_client.InvalidRequest, match=r"'SDXL' was expected, .* 'sd1'"):
        luna.get_model_proxies("typed", "SDXL", CHECKPOINT)


def test_the_seeds_own_words_work(luna):
    luna.get_model_proxies(
        workflow_id="my_workflow_123",
        model_type="SD1.5",
        models={"clip_l": CHECKPOINT, "vae": CHECKPOINT},
    )
    encoded = luna.clip_encode("prompt", workflow_id="my_workflow_123")
    assert encoded[0].cross_attn.ndim == 3
    assert luna.vae_decode(
        np.zeros((1, 4, 8, 8), np.float32), workflow_id="my_workflow_123"
    ).shape == (1, 64, 64, 3)
    again = luna.get_model_proxies("my_workflow_123")
    assert again.clip.workflow_id == "my_workflow_123"
    with pytest.raises(luna_client.LunaError, match="unet"):
        again.model.sample(SIZE, encoded, steps=1)


def test_a_workflow_that_nobody_registered_is_not_found(luna):
    with pytest.raises(luna_client.NotFound, match="nobody"):
        luna.clip_encode("x", workflow_id="nobody")
    with pytest.raises(luna_client.NotFound):
        luna.get_model_proxies("nobody")
    with pytest.raises(luna_client.InvalidRequest, match="expected models"):
        luna.get_model_proxies()


def test_status_knows_this_client_and_ping_goes_round(luna):
    status = luna.status()
    assert status.sessions >= 1 and status.workers[0].state == "ready"
    assert 0 < luna.ping() < 5


def test_a_lora_of_this_machine_is_given_to_the_server_by_content(luna, proxies, prompts, tmp_path):
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(LORA.read_bytes())
    about = luna.loras.inspect(copy)
    assert about.bytes == LORA.stat().st_size and len(about.tensors) > 100
    name = luna.loras.upload(copy)
    assert name.startswith("sha256:") and len(name) == 71
    assert luna.loras.upload(copy) == name
    uploaded = (
        proxies.model.with_loras(Lora(name, 0.8)).sample(SIZE, *prompts, seed=1, steps=2).latent
    )
    named = (
        proxies.model.with_loras(Lora(LORA.name, 0.8))
        .sample(SIZE, *prompts, seed=1, steps=2)
        .latent
    )
    assert np.array_equal(uploaded, named)


def test_files_that_are_no_loras_are_told_so(luna, tmp_path):
    with pytest.raises(luna_client.NotFound, match="cannot be read"):
        luna.loras.upload(tmp_path / "none")
    (tmp_path / "text").write_text("no safetensors")
    with pytest.raises(luna_client.InvalidRequest, match="safetensors"):
        luna.loras.inspect(tmp_path / "text")
