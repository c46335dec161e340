"""Models, LoRAs, an embedding and pictures for the live tests: random, the same every time."""

import pathlib
import subprocess
import sys

import numpy
import safetensors.torch
import torch
from PIL import Image

CHECKPOINT = "random-sd15.safetensors"
INPAINT = "random-inpaint.safetensors"


def _random(generator: torch.Generator, *shape: int, scale: float = 0.02) -> torch.Tensor:
    return torch.randn(*shape, generator=generator) * scale


def _weights(checkpoint: pathlib.Path, prefix: str) -> dict[str, torch.Size]:
    with safetensors.safe_open(checkpoint, "pt") as file:
        return {
            name[len(prefix) :]: torch.Size(file.get_slice(name).get_shape())
            for name in file.keys()
            if name.startswith(prefix)
        }


def _low_rank(
    generator: torch.Generator, name: str, shape: torch.Size, rank: int = 4
) -> dict[str, torch.Tensor]:
    rest = shape[1:]
    up = _random(generator, shape[0], rank, *(1 for _ in rest[1:]), scale=0.1)
    return {
        f"{name}.lora_up.weight": up,
        f"{name}.lora_down.weight": _random(generator, rank, *rest, scale=0.1),
        f"{name}.alpha": torch.tensor(2.0),
    }


def write_ink(checkpoint: pathlib.Path, file: pathlib.Path) -> None:
    """A LoRA in kohya's format for attention and convolutions of the UNet, and for CLIP-L."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, shape in _weights(checkpoint, "model.diffusion_model.").items():
        if name.endswith(("to_q.weight", "to_v.weight", "in_layers.2.weight")):
            layer = "lora_unet_" + name[: -len(".weight")].replace(".", "_")
            tensors.update(_low_rank(generator, layer, shape))
    for number in range(12):
        for part in ("self_attn_q_proj", "mlp_fc1"):
            shape = torch.Size((768, 768) if part.startswith("self") else (3072, 768))
            tensors.update(
                _low_rank(generator, f"lora_te_text_model_encoder_layers_{number}_{part}", shape)
            )
    safetensors.torch.save_file({name: tensor.half() for name, tensor in tensors.items()}, file)


def write_kinds(checkpoint: pathlib.Path, file: pathlib.Path) -> None:
    """One of each other kind of adapter, in turn over the attention layers of the UNet."""
    generator = torch.Generator().manual_seed(2)
    tensors = {}
    wanted = [
        (name[: -len(".weight")], shape)
        for name, shape in sorted(_weights(checkpoint, "model.diffusion_model.").items())
        if name.endswith(("to_q.weight", "to_k.weight"))
    ]
    for at, (layer, (rows, columns)) in enumerate(wanted):
        name, kind = "lora_unet_" + layer.replace(".", "_"), at % 5
        if kind == 0:
            tensors.update(
                {
                    f"{name}.hada_w1_a": _random(generator, rows, 4, scale=0.1),
                    f"{name}.hada_w1_b": _random(generator, 4, columns, scale=0.3),
                    f"{name}.hada_w2_a": _random(generator, rows, 4, scale=0.3),
                    f"{name}.hada_w2_b": _random(generator, 4, columns, scale=0.1),
                }
            )
        elif kind == 1:
            tensors.update(
                {
                    f"{name}.lokr_w1": _random(generator, 4, 4, scale=0.1),
                    f"{name}.lokr_w2": _random(generator, rows // 4, columns // 4, scale=0.3),
                }
            )
        elif kind == 2:
            tensors[f"{name}.diff"] = _random(generator, rows, columns)
        elif kind == 3:
            tensors.update(_low_rank(generator, name, torch.Size((rows, columns))))
            tensors[f"{name}.dora_scale"] = 1 + _random(generator, rows, 1, scale=0.1)
        else:
            blocks = _random(generator, rows // 8, 8, 8)
            tensors.update({f"{name}.oft_blocks": blocks, f"{name}.alpha": torch.tensor(0.0)})
    safetensors.torch.save_file(tensors, file)


def write(folder: pathlib.Path) -> None:
    """The folder of models that ComfyUI and the daemon share."""
    for name in (
        "checkpoints",
        "loras",
        "vae",
        "text_encoders",
        "diffusion_models",
        "embeddings",
        "vae_approx",
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoints" / CHECKPOINT
    for file, flags in ((checkpoint, []), (folder / "checkpoints" / INPAINT, ["--inpaint"])):
        subprocess.run(
            [sys.executable, pathlib.Path(__file__).with_name("sd15_checkpoint.py"), file, *flags],
            check=True,
        )
    write_ink(checkpoint, folder / "loras/ink.safetensors")
    write_kinds(checkpoint, folder / "loras/kinds.safetensors")
    embedding = _random(torch.Generator().manual_seed(3), 2, 768, scale=0.1)
    safetensors.torch.save_file(
        {"emb_params": embedding}, folder / "embeddings/luna-test.safetensors"
    )
    split(checkpoint, folder)


def split(checkpoint: pathlib.Path, folder: pathlib.Path) -> None:
    """The checkpoint's parts as files of their own, as people download them."""
    tensors = safetensors.torch.load_file(checkpoint)
    for prefix, added, file in (
        ("model.diffusion_model.", "", "diffusion_models/alone-unet"),
        ("cond_stage_model.transformer.", "", "text_encoders/alone-clip-l"),
        ("first_stage_model.", "", "vae/alone-vae"),
    ):
        part = {
            added + name[len(prefix) :]: tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        safetensors.torch.save_file(part, folder / f"{file}.safetensors")


def write_pictures(folder: pathlib.Path, size: int = 128) -> None:
    """picture.png, smooth colours, and mask.png, whose right half is white."""
    y, x = numpy.mgrid[0:size, 0:size] / size
    picture = numpy.stack([x, y, 0.5 + 0.5 * numpy.sin(9 * x + 5 * y)], -1)
    Image.fromarray((picture * 255).astype(numpy.uint8)).save(folder / "picture.png")
    mask = numpy.zeros((size, size, 3), numpy.uint8)
    mask[:, size // 2 :] = 255
    Image.fromarray(mask).save(folder / "mask.png")
