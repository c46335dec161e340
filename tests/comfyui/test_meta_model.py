"""A model file's header is enough for ComfyUI's own model classes; no weight is read."""

import json
import pathlib
import struct

import comfy.lora
import comfy.model_base
import comfy.supported_models
import pytest
import torch
from comfyui_luna import checkpoint_tensors, meta_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models/checkpoints/luna-scenes.safetensors"


def write(path: pathlib.Path, header: dict, data: bytes = b"") -> pathlib.Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_a_header_gives_names_shapes_and_types_and_the_values_of_single_numbers(
    tmp_path: pathlib.Path,
) -> None:
    path = write(
        tmp_path / "a.safetensors",
        {
            "__metadata__": {"modelspec.title": "A"},
            "v": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
            "w": {"dtype": "BF16", "shape": [64, 32], "data_offsets": [4, 4100]},
        },
        struct.pack("<f", 120.0) + bytes(4096),
    )
    tensors, metadata = checkpoint_tensors.from_header(path)
    assert metadata == {"modelspec.title": "A"}
    assert float(tensors["v"]) == 120.0
    assert (
        tensors["w"].is_meta
        and tensors["w"].shape == (64, 32)
        and tensors["w"].dtype == torch.bfloat16
    )


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "found 0"),
        (b"\x80\x02pickle..", "expected a safetensors file"),
        (struct.pack("<Q", 4) + b"{..}", "is not JSON"),
    ],
)
def test_a_file_that_is_something_else_is_refused_by_name(
    tmp_path: pathlib.Path, content: bytes, said: str
) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(checkpoint_tensors.UnreadableHeader, match=said) as refusal:
        checkpoint_tensors.from_header(path)
    assert str(path) in str(refusal.value)


def sd15() -> checkpoint_tensors.StateDict:
    """SD1.5's UNet, as ComfyUI saves it."""
    config = comfy.supported_models.SD15(
        {
            "image_size": 32,
            "use_spatial_transformer": True,
            "legacy": False,
            "adm_in_channels": None,
            "in_channels": 4,
            "out_channels": 4,
            "model_channels": 320,
            "num_res_blocks": [2, 2, 2, 2],
            "channel_mult": [1, 2, 4, 4],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_middle": 1,
            "use_linear_in_transformer": False,
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            "context_dim": 768,
            "use_temporal_attention": False,
            "dtype": torch.float32,
        }
    )
    model = config.get_model({}, device="meta")
    return {
        "model." + name: tensor
        for name, tensor in model.state_dict().items()
        if name.startswith("diffusion_model.")
    }


def test_sd15_is_comfyui_s_own_class_whose_weights_take_no_memory() -> None:
    model = meta_model.build(sd15(), {}, "sd1", torch.device("cpu"))
    assert type(model) is comfy.model_base.BaseModel and isinstance(
        model.model_config, comfy.supported_models.SD15
    )
    assert all(weight.is_meta for weight in model.diffusion_model.parameters())
    assert (
        not model.model_sampling.sigmas.is_meta
        and abs(float(model.model_sampling.sigma_max) - 14.6146) < 1e-3
    )
    assert len(comfy.lora.model_lora_keys_unet(model, {})) > 1000


def test_a_file_of_the_bare_unet_is_the_same_model() -> None:
    prefix = "model.diffusion_model."
    bare = {name[len(prefix) :]: tensor for name, tensor in sd15().items()}
    model = meta_model.build(bare, {}, "sd1", torch.device("cpu"))
    assert {name for name in model.state_dict() if name.startswith("diffusion_model.")} == {
        "diffusion_model." + name for name in bare
    }


def test_a_width_that_comfyui_does_not_know_is_a_model_of_its_family() -> None:
    tensors, metadata = checkpoint_tensors.from_header(SHIPPED)
    model = meta_model.build(tensors, metadata, "sd1", torch.device("cpu"))
    assert isinstance(model.model_config, comfy.supported_models.SD15)
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    assert shapes == {
        name[len("model.") :]: tensor.shape
        for name, tensor in tensors.items()
        if name.startswith("model.diffusion_model.")
    }


def test_a_file_of_no_model_is_refused() -> None:
    with pytest.raises(meta_model.UnknownModel):
        meta_model.build({"some.weight": torch.empty(3)}, {}, "sd1", torch.device("cpu"))


def test_the_text_encoder_tokenises_and_has_the_names_that_loras_are_matched_with() -> None:
    tensors, metadata = checkpoint_tensors.from_header(SHIPPED)
    model = meta_model.build(tensors, metadata, "sd1", torch.device("cpu"))
    clip = meta_model.text_encoder(model, tensors, [str(ROOT / "models/embeddings")])
    assert (
        sum(weight.nbytes for weight in clip.cond_stage_model.parameters() if not weight.is_meta)
        < 1024
    )
    assert [weight for _, weight in clip.tokenize("a (red:1.3) boat")["l"][0][:4]] == [
        1.0,
        1.0,
        1.3,
        1.0,
    ]
    assert any(
        name.startswith("lora_te_text_model_encoder_layers_0_")
        for name in comfy.lora.model_lora_keys_clip(clip.cond_stage_model, {})
    )


def test_an_embedding_of_a_small_model_is_found_by_its_own_width() -> None:
    tensors, metadata = checkpoint_tensors.from_header(SHIPPED)
    model = meta_model.build(tensors, metadata, "sd1", torch.device("cpu"))
    clip = meta_model.text_encoder(model, tensors, [str(ROOT / "models/embeddings")])
    assert any(
        isinstance(token, torch.Tensor)
        for token, _ in clip.tokenize("embedding:luna-moonrise")["l"][0]
    )
