"""Patches become adapter files that say the same, or are refused by name."""

import comfy.lora
import comfy.weight_adapter as kinds
import pytest
import safetensors.torch
import torch
from comfyui_luna.adapter_file import UnservedPatch, adapter_file, content_name

QUERY = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
TEXT = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))) * 0.1


def read(patches: dict) -> dict[str, torch.Tensor]:
    return safetensors.torch.load(adapter_file(patches))


EVERY_KIND = {
    "lora": ("lora_up.weight", "lora_down.weight"),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    "lokr": ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
    "glora": ("a1.weight", "a2.weight", "b1.weight", "b2.weight"),
    "oft": ("oft_blocks",),
    "boft": ("oft_blocks",),
}
SHAPES = {
    "lora_up.weight": (16, 2),
    "lora_down.weight": (2, 16),
    "hada_w1_a": (16, 2),
    "hada_w1_b": (2, 16),
    "hada_w2_a": (16, 2),
    "hada_w2_b": (2, 16),
    "lokr_w1": (4, 4),
    "lokr_w2_a": (4, 2),
    "lokr_w2_b": (2, 4),
    "a1.weight": (16, 2),
    "a2.weight": (2, 16),
    "b1.weight": (16, 2),
    "b2.weight": (2, 16),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("dora", [False, True])
def test_comfyui_reads_the_same_adapter_from_the_file(kind: str, dora: bool) -> None:
    name = "lora_unet_layer"
    tensors = {
        f"{name}.{part}": random(*SHAPES.get(part, (2, 8, 8) if kind == "oft" else (2, 2, 8, 8)))
        for part in EVERY_KIND[kind]
    }
    tensors[f"{name}.alpha"] = torch.tensor(1.5)
    if dora:
        tensors[f"{name}.dora_scale"] = random(16, 1)
    before = comfy.lora.load_lora(tensors, {name: QUERY})[QUERY]
    after = comfy.lora.load_lora(read({QUERY: before}), {QUERY[: -len(".weight")]: QUERY})[QUERY]
    assert type(after) is type(before) and after.name == kind
    weight = random(16, 16)
    made = [
        comfy.lora.calculate_weight([(0.7, adapter, 1.0, None, None)], weight.clone(), QUERY)
        for adapter in (before, after)
    ]
    assert torch.equal(*made) and not torch.equal(made[0], weight)


def test_half_precision_stays_half_precision() -> None:
    adapter = kinds.LoRAAdapter(
        set(), (random(4, 2).half(), random(2, 4).half(), None, None, None, None)
    )
    assert {tensor.dtype for tensor in read({QUERY: adapter}).values()} == {torch.float16}


def test_names_are_those_that_the_daemon_looks_for() -> None:
    adapter = kinds.LoRAAdapter(set(), (random(4, 2), random(2, 4), 2.0, None, None, None))
    assert sorted(read({QUERY: adapter, TEXT: adapter})) == [
        *(f"{QUERY[:-7]}.{part}" for part in ("alpha", "lora_down.weight", "lora_up.weight")),
        *(
            f"text_encoders.{TEXT[:-7]}.{part}"
            for part in ("alpha", "lora_down.weight", "lora_up.weight")
        ),
    ]


def test_differences_and_replacements_of_weights_and_biases_have_their_names() -> None:
    bias = QUERY.replace("weight", "bias")
    file = read(
        {QUERY: ("diff", (random(4, 4),)), bias: (random(4),), TEXT: ("set", (random(4, 4),))}
    )
    assert sorted(file) == [
        QUERY[:-7] + ".diff",
        QUERY[:-7] + ".diff_b",
        f"text_encoders.{TEXT[:-7]}.set_weight",
    ]


def test_equal_patches_have_equal_names_by_content() -> None:
    def patches(scale: float) -> dict:
        weights = (random(4, 2), random(2, 4) * scale, 2.0, None, None, None)
        return {key: kinds.LoRAAdapter(set(), weights) for key in (QUERY, TEXT)}

    backwards = dict(reversed(patches(1).items()))
    names = [content_name(adapter_file(each)) for each in (patches(1), backwards, patches(2))]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("sha256:") and len(names[0]) == 7 + 64


class Strange:
    name = "tucker"
    weights = ()


@pytest.mark.parametrize(
    "value, said",
    [
        (Strange(), "kind 'tucker'"),
        (("model_as_lora", (random(4, 4),)), "kind 'model_as_lora'"),
        (("diff", (random(8, 4), {"pad_weight": True})), "enlarges its weight"),
        ([(random(4, 4), None)], "weights of another model"),
        (
            kinds.LoRAAdapter(set(), (random(4, 2), random(2, 4), None, None, None, [8, 4])),
            "changes a weight's shape",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_weight_s_name(value: object, said: str) -> None:
    with pytest.raises(UnservedPatch, match=said) as refusal:
        adapter_file({QUERY: value})
    assert QUERY in str(refusal.value)


def test_a_bias_cannot_be_replaced_and_takes_no_adapter() -> None:
    bias = QUERY.replace("weight", "bias")
    with pytest.raises(UnservedPatch, match="replacing a bias"):
        adapter_file({bias: ("set", (random(4),))})
    with pytest.raises(UnservedPatch, match="'lora' cannot change a bias"):
        adapter_file(
            {bias: kinds.LoRAAdapter(set(), (random(4, 2), random(2, 4), None, None, None, None))}
        )
