"""`.patches` become an ordered set: one file for each call of a LoRA node, in the order of the
calls."""

import pytest
from comfyui_luna.adapter_file import UnservedPatch
from comfyui_luna.lora_sets import Patch, lora_layers, next_call


def entry(strength: float, value: object, call: int | None, **other: object) -> tuple:
    plain = (
        strength,
        value,
        other.get("strength_model", 1.0),
        other.get("offset"),
        other.get("function"),
    )
    return plain if call is None else Patch.of(plain, call)


def test_patches_of_one_call_are_one_layer_whatever_stands_before_them() -> None:
    first, second = next_call(), next_call()
    layers = lora_layers(
        {
            "a": [entry(0.5, "A1", first), entry(0.9, "B1", second)],
            "b": [entry(0.9, "B2", second)],
            "c": [entry(0.5, "A2", first)],
        }
    )
    assert [(layer.strength, layer.patches) for layer in layers] == [
        (0.5, {"a": "A1", "c": "A2"}),
        (0.9, {"a": "B1", "b": "B2"}),
    ]


def test_the_order_of_the_calls_is_kept_when_the_first_key_is_of_a_later_one() -> None:
    first, second = next_call(), next_call()
    layers = lora_layers({"b": [entry(1.0, "B", second)], "a": [entry(1.0, "A", first)]})
    assert [layer.patches for layer in layers] == [{"a": "A"}, {"b": "B"}]


def test_patches_of_nobody_are_stacked_key_by_key() -> None:
    layers = lora_layers(
        {"a": [entry(0.5, "A1", None), entry(0.9, "A2", None)], "b": [entry(0.9, "B1", None)]}
    )
    for key, order in (("a", ["A1", "A2"]), ("b", ["B1"])):
        assert [layer.patches[key] for layer in layers if key in layer.patches] == order
    assert all(len({layer.strength}) == 1 for layer in layers) and len(layers) == 3


def test_one_patch_of_nobody_among_numbered_ones_keeps_every_key_s_order() -> None:
    call = next_call()
    layers = lora_layers(
        {"a": [entry(0.5, "A1", None), entry(0.9, "A2", call)], "b": [entry(0.9, "B1", call)]}
    )
    assert [layer.patches["a"] for layer in layers if "a" in layer.patches] == ["A1", "A2"]


def test_no_patches_are_no_layers() -> None:
    assert lora_layers({}) == [] == lora_layers({"a": []})


@pytest.mark.parametrize(
    "other, said",
    [
        ({"strength_model": 0.4}, "scales the model's own weight"),
        ({"offset": (0, 0, 4)}, "a part of a weight"),
        ({"function": abs}, "a Python function"),
    ],
)
def test_what_a_set_cannot_say_is_refused_with_the_weight_s_name(other: dict, said: str) -> None:
    with pytest.raises(UnservedPatch, match=f"layer.weight: .*{said}"):
        lora_layers({"layer.weight": [entry(1.0, "A", next_call(), **other)]})
