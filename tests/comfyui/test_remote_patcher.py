"""The proxied MODEL is a ModelPatcher whose loading is free and whose patches become LoRA sets."""

import comfy.lora
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.utils
import numpy
import pytest
import torch
from comfyui_luna.remote_clip import wire_tokens
from comfyui_luna.reset_node import LunaResetModelWeights
from comfyui_luna.unserved import UnservedByLuna
from small_models import ROOT, FakeServed, remote_patcher


@pytest.fixture(scope="module")
def lora(patcher):
    file = comfy.utils.load_torch_file(str(ROOT / "models/loras/luna-pencil.safetensors"))
    return comfy.lora.load_lora(
        file, comfy.lora.model_lora_keys_unet(patcher.model, {}), log_missing=False
    )


@pytest.fixture(scope="module")
def patcher():
    return remote_patcher(FakeServed())


def test_it_is_what_nodes_test_for(patcher) -> None:
    assert isinstance(patcher, comfy.model_patcher.ModelPatcher)
    assert (
        isinstance(patcher.model, comfy.model_base.BaseModel)
        and type(patcher.model).__name__ == "BaseModel"
    )


def test_comfyui_loads_and_unloads_it_and_it_takes_no_memory(patcher) -> None:
    comfy.model_management.load_models_gpu([patcher.clone()], memory_required=1 << 40)
    assert (
        patcher.model_size()
        == patcher.loaded_size()
        == patcher.model.memory_required([2, 4, 128, 128])
        == 0
    )
    comfy.model_management.unload_all_models()
    assert all(weight.is_meta for weight in patcher.model.diffusion_model.parameters())


def test_two_loras_are_two_layers_in_their_order_with_their_strengths(patcher, lora) -> None:
    first = patcher.clone()
    first.add_patches(lora, 0.6)
    second = first.clone()
    second.add_patches(lora, -0.2)
    assert [one.strength for one in second.loras()] == [0.6, -0.2]
    assert [len(layer.patches) for layer in second.served.layers] == [len(lora)] * 2
    assert [one.strength for one in first.loras()] == [0.6] and patcher.loras() == []


def test_reset_drops_the_loras_of_its_own_copy_alone(patcher, lora) -> None:
    patched = patcher.clone()
    patched.add_patches(lora, 1.0)
    reset, none = LunaResetModelWeights().reset(patched)
    assert reset.loras() == [] and none is None and len(patched.loras()) == 1
    assert reset.model is patched.model and reset.patches_uuid != patched.patches_uuid


def test_a_clone_keeps_the_wrapper_of_whole_trajectories(patcher) -> None:
    assert patcher.clone().clone().wrappers["outer_sample"].keys() == {"luna"}


def test_token_dictionaries_keep_weights_and_embeddings() -> None:
    wire = wire_tokens(
        {"l": [[(49406, 1.0), (torch.ones(3, dtype=torch.float16), 1.2), (5, 0.5, 7)]]}
    )
    ((start, vector, word),) = wire["l"]
    assert start == (49406, 1.0) and word == (5, 0.5)
    assert vector[0].dtype == numpy.float32 and vector[0].tolist() == [1, 1, 1] and vector[1] == 1.2


def test_a_picture_within_a_prompt_is_refused() -> None:
    with pytest.raises(UnservedByLuna, match="picture within a prompt"):
        wire_tokens({"l": [[({"type": "image"}, 1.0)]]})
