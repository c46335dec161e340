"""ComfyUI's CONDITIONING and typed entries say the same."""

import numpy as np
import pytest

from luna_client import Area, Conditioning, ConditioningEntry, InvalidRequest
from luna_client.conditioning import entries_of, from_comfy

CONTEXT = np.zeros((1, 77, 8), np.float32)
POOLED = np.ones((1, 8), np.float32)
MASK = np.ones((1, 64, 64), np.float32)


def test_what_text_encoding_gives_is_comfyuis_list_with_its_pooled_output():
    listed = Conditioning([ConditioningEntry(CONTEXT, POOLED)]).to_comfy()
    assert len(listed) == 1
    assert listed[0][0] is CONTEXT
    assert listed[0][1] == {"pooled_output": POOLED}


def test_every_key_that_stock_nodes_write_is_understood():
    entry = from_comfy(
        [
            CONTEXT,
            {
                "pooled_output": POOLED,
                "strength": 0.5,
                "area": (8, 16, 2, 4),
                "mask": MASK,
                "mask_strength": 0.25,
                "set_area_to_bounds": True,
                "start_percent": 0.1,
                "end_percent": 0.9,
                "guidance": 3.5,
                "default": True,
                "width": 1024,
                "height": 768,
                "crop_w": 0,
                "crop_h": 0,
                "target_width": 1024,
                "target_height": 768,
                "aesthetic_score": 6.0,
                "concat_latent_image": POOLED,
                "concat_mask": MASK,
                "attention_mask": POOLED,
            },
        ]
    )
    assert entry.cross_attn is CONTEXT and entry.pooled is POOLED and entry.mask is MASK
    assert entry.area == Area(8, 16, 2, 4)
    assert (entry.strength, entry.mask_strength, entry.guidance) == (0.5, 0.25, 3.5)
    assert (entry.start_percent, entry.end_percent) == (0.1, 0.9)
    assert entry.set_area_to_bounds and entry.is_default
    assert entry.numbers["target_height"] == 768
    assert set(entry.extras) == {"concat_latent_image", "concat_mask"}


def test_an_area_in_shares_stays_one():
    entry = from_comfy([CONTEXT, {"area": ("percentage", 0.5, 1.0, 0.0, 0.25)}])
    assert entry.area == Area(0.5, 1.0, 0.0, 0.25, fractional=True)
    assert Conditioning([entry]).to_comfy()[0][1]["area"] == ("percentage", 0.5, 1.0, 0.0, 0.25)


def test_there_and_back_changes_nothing():
    options = {
        "pooled_output": POOLED,
        "area": (8, 16, 2, 4),
        "strength": 0.5,
        "mask": MASK,
        "mask_strength": 0.25,
        "set_area_to_bounds": False,
        "start_percent": 0.0,
        "end_percent": 0.5,
        "width": 64.0,
        "default": True,
    }
    assert Conditioning([from_comfy([CONTEXT, options])]).to_comfy() == [[CONTEXT, options]]


@pytest.mark.parametrize(
    "key", ["control", "hooks", "gligen", "unclip_conditioning", "reference_latents", "made_up"]
)
def test_what_luna_cannot_follow_is_refused_by_its_name(key):
    with pytest.raises(InvalidRequest, match=key):
        from_comfy([CONTEXT, {key: object()}])


def test_what_is_switched_off_is_no_reason_to_refuse():
    entry = from_comfy(
        [CONTEXT, {"pooled_output": None, "control": None, "hooks": None, "model_conds": {}}]
    )
    assert entry == ConditioningEntry(CONTEXT)


def test_lists_of_both_forms_may_be_mixed_and_one_entry_stands_for_a_list():
    entry = ConditioningEntry(CONTEXT)
    assert entries_of(entry) == [entry]
    assert entries_of([entry, [CONTEXT, {}]]) == [entry, entry]
    assert entries_of(Conditioning([entry])) == [entry]


@pytest.mark.parametrize("wrong", ["a red boat", CONTEXT, {"pooled_output": POOLED}])
def test_what_is_no_conditioning_is_refused_with_the_way_to_one(wrong):
    with pytest.raises(InvalidRequest, match="clip_encode"):
        entries_of(wrong)


@pytest.mark.parametrize("wrong", [[CONTEXT], [CONTEXT, {}, 1], [CONTEXT, "x"]])
def test_a_pair_is_a_tensor_and_a_dictionary(wrong):
    with pytest.raises(InvalidRequest, match=r"expected \[tensor, dict\]"):
        entries_of([wrong])


def test_an_area_has_four_sides():
    with pytest.raises(InvalidRequest, match="height, width, y, x"):
        from_comfy([CONTEXT, {"area": (1, 2, 3)}])
