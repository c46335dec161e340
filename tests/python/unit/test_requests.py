"""What callers give, as messages of the wire."""

import numpy as np
import pytest

from luna_client import InvalidRequest, Lora, ModelRef
from luna_client.calls import model_requests, requests, text_requests
from luna_client.registry import check_family
from luna_client.v1 import models_pb2, workflow_pb2

LATENT = np.zeros((2, 4, 8, 8), np.float32)


def rows(**changes):
    arguments = dict(seed=3, add_noise=True, noise=None, noise_mask=None, cfg=7.0, loras=())
    latent = changes.pop("latent", LATENT)
    return requests.rows_of_batch(latent, [], None, **{**arguments, **changes})


def test_a_lone_file_is_a_checkpoint_and_slots_have_their_own():
    wire = model_requests.workflow_to_wire("a.safetensors", None, {}, 0, False).models
    assert wire.checkpoint.file == "a.safetensors" and not wire.slots
    models = {"checkpoint": "a", "vae": ModelRef("b", "f32"), "clip_l": "c", "preview": "d"}
    wire = model_requests.workflow_to_wire(models, "w", {"unet": "bf16"}, 60, True)
    slots = {models_pb2.Slot.Name(each.slot): each.model for each in wire.models.slots}
    assert slots["SLOT_VAE"].precision == models_pb2.PRECISION_F32
    assert slots["SLOT_CLIP_L"].file == "c" and slots["SLOT_PREVIEW"].file == "d"
    assert wire.models.slot_precision["unet"] == models_pb2.PRECISION_BF16
    assert (wire.workflow_id, wire.ttl_seconds, wire.preload) == ("w", 60, True)


def test_a_name_made_of_a_set_is_the_same_for_equal_sets_only():
    def name(models, **precision):
        return model_requests.workflow_to_wire(models, None, precision, 0, False).workflow_id

    assert name("a") == name({"checkpoint": "a"})
    assert len({name("a"), name("b"), name("a", vae="f32"), name({"unet": "a"})}) == 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: model_requests.workflow_to_wire({}, None, {}, 0, False), "at least one file"),
        (
            lambda: model_requests.workflow_to_wire({"vea": "x"}, None, {}, 0, False),
            "slot 'vea': expected one of unet, vae",
        ),
        (
            lambda: model_requests.workflow_to_wire("x", None, {"vae": "fp8"}, 0, False),
            "precision 'fp8'",
        ),
        (lambda: requests.tile_to_wire(-1, 0), "tile -1"),
        (lambda: requests.loras_to_wire(["x.safetensors"]), "expected Lora objects, found str"),
        (lambda: text_requests.tokens_to_wire({"l": [[({"image": 1}, 1.0)]]}), "image token"),
    ],
)
def test_wrong_words_are_told_with_the_right_ones(call, said):
    with pytest.raises(InvalidRequest, match=said):
        call()


def test_a_lora_has_one_strength_unless_it_is_given_two():
    one, two = requests.loras_to_wire([Lora("a", 0.5), Lora("b", 0.5, 0.25, {"middle_block": 0.0})])
    assert one.model_strength == 0.5 and not one.HasField("clip_strength")
    assert two.clip_strength == 0.25 and dict(two.block_strengths) == {"middle_block": 0.0}


def test_tokens_are_ids_or_vectors_with_weights_and_may_carry_word_ids():
    vector = np.arange(3, dtype=np.float32)
    wire = text_requests.tokens_to_wire({"l": [[(49406, 1.0), (vector, 0.5), (7, 1.5, 2)]]})
    back = text_requests.tokens_from_wire(wire)["l"][0]
    assert back[0] == (49406, 1.0) and back[2] == (7, 1.5)
    assert np.array_equal(back[1][0], vector) and back[1][1] == 0.5


def test_a_batch_is_rows_of_one_draw():
    made = rows()
    assert [(row.noise.seed, row.noise.batch_size, row.noise.batch_index) for row in made] == [
        (3, 2, 0),
        (3, 2, 1),
    ]
    assert np.shares_memory(made[1].latent, LATENT)
    assert [row.latent for row in rows(latent=(4, 8, 8))] == [(4, 8, 8)]
    assert [row.latent for row in rows(latent=(3, 4, 8, 8))] == [(4, 8, 8)] * 3


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (2, 16, 16), (2, 1, 16, 16)])
def test_a_mask_repeats_over_the_batch_as_comfyuis(shape):
    mask = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    made = [np.squeeze(row.noise_mask) for row in rows(noise_mask=mask)]
    wanted = mask.reshape(-1, 16, 16)
    assert np.array_equal(made[0], wanted[0]) and np.array_equal(made[1], wanted[1 % len(wanted)])


def test_sigmas_and_conditionings_are_one_for_all_or_one_a_row():
    entry = [np.zeros((1, 2, 3), np.float32), {}]
    made = requests.denoise_rows_of_batch(LATENT, 2.0, [entry], y=None, c_concat=None, loras=())
    assert [row.sigma for row in made] == [2.0, 2.0]
    y = np.arange(4, dtype=np.float32).reshape(2, 2)
    made = requests.denoise_rows_of_batch(
        LATENT, [1.0, 2.0], [entry, entry], y=y, c_concat=None, loras=()
    )
    assert [row.sigma for row in made] == [1.0, 2.0]
    assert np.array_equal(made[1].extras["y"], y[1:])
    with pytest.raises(InvalidRequest, match="one for each of 2 rows, found 3"):
        requests.denoise_rows_of_batch(LATENT, [1, 2, 3], [entry], y=None, c_concat=None, loras=())


@pytest.mark.parametrize(
    ("model_type", "fits"), [("SD1.5", True), ("sd15", True), ("sd1", True), ("SDXL", False)]
)
def test_a_model_type_is_compared_with_what_was_found(model_type, fits):
    component = models_pb2.ComponentInfo(slot=models_pb2.SLOT_UNET, family="sd1")
    workflow = workflow_pb2.Workflow(components=[component])
    if fits:
        check_family(model_type, workflow)
    else:
        with pytest.raises(InvalidRequest, match="family 'sd1'"):
            check_family(model_type, workflow)
