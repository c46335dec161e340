"""SDXL in the smallest layout that ComfyUI's loader accepts: both encoders, sizes, a LoRA, whole
and step by step."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import features
import graphs
import model_files
import pytest
import safetensors.torch
import torch
from harness import ROOT, Daemon, LunaComfyUI, difference

LIMIT = 2
CHECKPOINT = "koala.safetensors"


@pytest.fixture(scope="module")
def sdxl(programs, tmp_path_factory) -> Iterator[LunaComfyUI]:
    models = tmp_path_factory.mktemp("sdxl")
    for name in (
        "checkpoints",
        "loras",
        "vae",
        "text_encoders",
        "diffusion_models",
        "embeddings",
        "vae_approx",
    ):
        (models / name).mkdir()
    subprocess.run(
        [
            sys.executable,
            ROOT / "tests/parity/sdxl_checkpoint.py",
            "koala-700m",
            models / "checkpoints" / CHECKPOINT,
        ],
        check=True,
        env=dict(os.environ),
    )
    _write_lora(models / "checkpoints" / CHECKPOINT, models / "loras/both.safetensors")
    with (
        Daemon(programs, models, tmp_path_factory.mktemp("daemon")) as daemon,
        LunaComfyUI(tmp_path_factory.mktemp("comfyui"), models, daemon.socket) as comfyui,
    ):
        model_files.write_pictures(comfyui.base / "input")
        yield comfyui


def _write_lora(checkpoint: pathlib.Path, file: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(4)
    tensors: dict[str, torch.Tensor] = {}
    for number in range(12):
        for prefix, layers, width in (("lora_te1_", 12, 768), ("lora_te2_", 32, 1280)):
            if number < layers:
                name = f"{prefix}text_model_encoder_layers_{number}_self_attn_q_proj"
                tensors.update(model_files._low_rank(generator, name, torch.Size((width, width))))
    for name, shape in model_files._weights(checkpoint, "model.diffusion_model.").items():
        if name.endswith("attn2.to_k.weight"):
            layer = "lora_unet_" + name[: -len(".weight")].replace(".", "_")
            tensors.update(model_files._low_rank(generator, layer, shape))
    safetensors.torch.save_file(tensors, file)


def _two_texts(p: graphs.Picture) -> graphs.Link:
    return p.graph.add(
        "CLIPTextEncodeSDXL",
        clip=p.models.clip,
        width=320,
        height=256,
        crop_w=8,
        crop_h=16,
        target_width=256,
        target_height=320,
        text_g="a red boat at sea",
        text_l="evening " * 90,
    )


def texts_and_sizes(p: graphs.Picture) -> None:
    p.finish(p.sample(positive=_two_texts(p)))


def lora_on_both_encoders(p: graphs.Picture) -> None:
    loaded = p.graph.add(
        "LoraLoader",
        model=p.models.model,
        clip=p.models.clip,
        lora_name="both.safetensors",
        strength_model=0.8,
        strength_clip=0.6,
    )
    p.finish(p.sample(model=loaded, positive=p.text("a red boat", p.graph.out(loaded, 1))))


def step_by_step(p: graphs.Picture) -> None:
    p.finish(
        p.sample(
            model=p.graph.add("RescaleCFG", model=p.models.model, multiplier=0.6),
            positive=_two_texts(p),
        )
    )


@pytest.mark.parametrize(
    "feature",
    [features.text_to_image, texts_and_sizes, lora_on_both_encoders, step_by_step],
    ids=lambda feature: feature.__name__,
)
def test_sdxl_gives_the_same_picture(sdxl: LunaComfyUI, feature) -> None:
    settings = {"size": 128, "steps": 2}
    expected = sdxl.pictures(graphs.build(feature, graphs.stock(CHECKPOINT), **settings))
    found = sdxl.pictures(
        graphs.build(feature, graphs.luna(CHECKPOINT, model_type="SDXL"), **settings)
    )
    print(f"{feature.__name__}: {difference(expected, found)}/255")
    assert difference(expected, found) <= LIMIT
