"""Writes what training made as the model files that ComfyUI and Luna read, with a card that says how it came about."""

import dataclasses
import os
import pathlib
import tempfile

import torch
from safetensors.torch import save_file

from . import embedding_stage, scene
from .embedding_stage import finished_embedding
from .lora_stage import ALPHA, RANK, STYLE_SHARES, file_name, finished_base, finished_lora
from .model_card import model_card
from .preview_stage import finished_preview
from .stage import finished
from .text_encoder import TOKENS, VOCABULARY
from .unet_stage import finished_vae
from .upscaler_stage import finished_upscaler

NAME = "luna-scenes"
LARGEST = 18 * 2**20  # bytes, all files together
DESCRIPTION = ("Flat drawings of " + ", ".join(scene.OBJECTS) + " in nine colours before eleven backgrounds. "
               "Trained from nothing on pictures drawn by the same project.")
# What a reader takes for granted where the file's metadata is silent; tensors cannot tell these.
ASSUMED_UNET_HEADS, ASSUMED_VAE_GROUPS, ASSUMED_CLIP_HEAD_WIDTH = 8, 32, 64


def half(tensors, prefix=""):
    """Float tensors in fp16 under prefixed names; raises ValueError for one that fp16 cannot hold."""
    out = {prefix + name: tensor.half().contiguous() for name, tensor in tensors.items()}
    for name, tensor in out.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} has values that are not finite in fp16")
    return out


def text_tensors(text):
    """transformers' names. The whole token table: tokens that no caption holds get the mean of those that some do."""
    state = text.state_dict()
    rows = state["embeddings.token_embedding.weight"]
    table = rows.mean(0, keepdim=True).repeat(VOCABULARY, 1)
    table[torch.tensor(text.used)] = rows
    state["embeddings.token_embedding.weight"] = table
    return {f"text_model.{name}": tensor for name, tensor in state.items()}


def checkpoint_tensors(unet, text, vae):
    """The single file of SD1.5."""
    prefix = "cond_stage_model.transformer."
    return (half(unet.state_dict(), "model.diffusion_model.") | half(vae.state_dict(), "first_stage_model.")
            | half(text_tensors(text), prefix)
            | {f"{prefix}text_model.embeddings.position_ids": torch.arange(TOKENS).unsqueeze(0)})


def _modelspec(title, architecture, description, **fields):
    return {"modelspec.sai_model_spec": "1.0.0", "modelspec.title": title, "modelspec.architecture": architecture,
            "modelspec.description": description} | {f"modelspec.{name}": value for name, value in fields.items()}


def _vae_metadata(vae):
    return {"luna.vae.groups": str(vae.groups)} if vae.groups != ASSUMED_VAE_GROUPS else {}


def checkpoint_metadata(unet, text, vae, size):
    metadata = _modelspec(NAME, "stable-diffusion-v1", DESCRIPTION, resolution=f"{size}x{size}",
                          implementation="https://github.com/Stability-AI/generative-models",
                          prediction_type="epsilon")
    if unet.heads != ASSUMED_UNET_HEADS:
        metadata["luna.unet.heads"] = str(unet.heads)
    if text.heads * ASSUMED_CLIP_HEAD_WIDTH != text.width:
        metadata["luna.clip_l.heads"] = str(text.heads)
    return metadata | _vae_metadata(vae)


def lora_tensors(lora):
    tensors = {}
    for name, change in lora.items():
        tensors |= {f"{name}.lora_down.weight": change.down.weight, f"{name}.lora_up.weight": change.up.weight,
                    f"{name}.alpha": torch.tensor(ALPHA)}
    return half(tensors)


def lora_metadata(style):
    name = f"luna-{style}"
    return {"ss_network_module": "networks.lora", "ss_network_dim": str(RANK), "ss_network_alpha": str(ALPHA),
            "ss_base_model_version": "sd_v1", "ss_output_name": name, "ss_sd_model_name": f"{NAME}.safetensors"
            } | _modelspec(name, "stable-diffusion-v1/lora", f"Style for {NAME}: {style}. No trigger word.")


def model_files(preset, folder):
    """Path below the models' folder → tensors, metadata. RuntimeError names the stages that are not finished."""
    steps = {"text": preset.text_steps, "vae": preset.vae_steps, "unet": preset.unet_steps,
             "preview": preset.small_steps, "upscaler": preset.upscaler_steps, "embedding": preset.embedding_steps,
             **{f"lora-{style}": preset.style_steps for style in STYLE_SHARES}}
    missing = [name for name, count in steps.items() if finished(folder, name, count) is None]
    if missing:
        raise RuntimeError(f"these stages are not finished: {', '.join(missing)}")
    (unet, text), vae = finished_base(preset, folder), finished_vae(preset, folder)
    concept = embedding_stage.NAME
    files = {
        f"checkpoints/{NAME}.safetensors": (checkpoint_tensors(unet, text, vae),
                                            checkpoint_metadata(unet, text, vae, preset.size)),
        f"vae/{NAME}-vae.safetensors": (half(vae.state_dict()), _modelspec(
            f"{NAME}-vae", "stable-diffusion-v1/vae", f"The autoencoder of {NAME}.") | _vae_metadata(vae)),
        f"embeddings/{concept}.safetensors": ({"emb_params": finished_embedding(preset, folder).float().contiguous()},
                                              _modelspec(concept, "stable-diffusion-v1/textual-inversion",
                                                         "A yellow moon above a white boat at night.")),
        "vae_approx/taesd_decoder.safetensors": (half(finished_preview(preset, folder).state_dict()), _modelspec(
            "taesd_decoder", "taesd", f"Previews of {NAME}'s latents.")),
        "upscale_models/luna-4x.safetensors": (half(finished_upscaler(preset, folder).state_dict()), _modelspec(
            "luna-4x", "esrgan", f"Four times the size, for {NAME}'s pictures.")),
    }
    for style in STYLE_SHARES:
        lora = finished_lora(preset, folder, style, unet)
        files[f"loras/{file_name(style)}"] = lora_tensors(lora), lora_metadata(style)
    return files


@dataclasses.dataclass(frozen=True)
class Written:
    path: str
    bytes: int


def export(preset, folder, models):
    """Writes all files or none: they take their places only when every one is written and all together fit."""
    models = pathlib.Path(models)
    models.mkdir(parents=True, exist_ok=True)
    files = model_files(preset, pathlib.Path(folder))
    with tempfile.TemporaryDirectory(dir=models, prefix=".part-") as part:
        part = pathlib.Path(part)
        for path, (tensors, metadata) in files.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part / path, metadata={"format": "pt"} | metadata)
        written = [Written(path, (part / path).stat().st_size) for path in files]
        for file in written:
            print(f"{file.bytes / 2**20:8.3f} MiB  {file.path}", flush=True)
        total = sum(file.bytes for file in written)
        print(f"{total / 2**20:8.3f} MiB  together, {LARGEST / 2**20:.0f} at most", flush=True)
        if total > LARGEST:
            raise RuntimeError(f"the files take {total} bytes together, and {LARGEST} is the most that is shipped")
        (part / "README.md").write_text(model_card(preset, folder, written, DESCRIPTION))
        for path in [*files, "README.md"]:
            (models / path).parent.mkdir(parents=True, exist_ok=True)
            os.chmod(part / path, 0o644)
            os.replace(part / path, models / path)
