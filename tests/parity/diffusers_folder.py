"""Diffusers folders in both directions. One that luna-make-checkpoint writes is loaded by diffusers' and transformers' own
from_pretrained: every weight is expected, none is missing, and they are the single file's. And the shipped model as their
save_pretrained writes it, the UNet in shards: `luna generate` makes the very picture of the single file of it.

usage: diffusers_folder.py BIN_FOLDER     (a Python with diffusers, transformers, safetensors)
"""

import pathlib
import subprocess
import sys
import tempfile

import live_diffusers
import luna_process


def load(folder, size):
    """Each component through from_pretrained; the names of missing or unexpected weights."""
    import diffusers
    import transformers

    parts = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}
    faults, models = [], {}
    for name, kind in parts.items():
        models[name], info = kind.from_pretrained(folder / name, output_loading_info=True, local_files_only=True)
        faults += [f"{name}: {key} {info[key]}" for key in ("missing_keys", "unexpected_keys") if info[key]]
    encoders = {"text_encoder": transformers.CLIPTextModel}
    if size == "sdxl":
        encoders["text_encoder_2"] = transformers.CLIPTextModelWithProjection
    for name, kind in encoders.items():
        models[name], info = kind.from_pretrained(folder / name, output_loading_info=True, local_files_only=True)
        for key in ("missing_keys", "unexpected_keys"):
            faults += [f"{name}: {key} {item}" for item in info[key] if "position_ids" not in item]
    return models, faults


def ldm_names_agree(models, single, size):
    """A few tensors under their two names, one of every kind of block."""
    pairs = [("unet", "conv_in.weight", "model.diffusion_model.input_blocks.0.0.weight"),
             ("unet", "mid_block.resnets.1.conv2.bias", "model.diffusion_model.middle_block.2.out_layers.3.bias"),
             ("unet", "time_embedding.linear_2.weight", "model.diffusion_model.time_embed.2.weight"),
             ("unet", "up_blocks.0.upsamplers.0.conv.weight", None),
             ("vae", "decoder.mid_block.attentions.0.to_out.0.weight",
              "first_stage_model.decoder.mid.attn_1.proj_out.weight")]
    if size == "sdxl":
        pairs.append(("text_encoder_2", "text_projection.weight", "conditioner.embedders.1.model.text_projection"))
    faults = []
    for part, name, ldm in pairs:
        tensor = models[part].state_dict()[name]
        if ldm is None:
            continue
        other = single[ldm].reshape(tensor.shape) if tensor.dim() != 2 or "text_projection" not in name else single[ldm].T
        if not (tensor == other).all():
            faults.append(f"{part}: {name} is not {ldm}")
    return faults


def shipped_model(programs, base):
    """Differing pixels of pictures from the single file and from the folder that save_pretrained makes of it."""
    import diffusers
    import numpy
    from PIL import Image

    checkpoint = live_diffusers.ROOT / "models/checkpoints/luna-scenes.safetensors"
    configs = live_diffusers.write_configs(checkpoint, base / "configs")
    load = dict(config=str(base / "configs"), local_files_only=True)
    folder = base / "models/diffusers/shipped"
    unet = diffusers.UNet2DConditionModel.from_single_file(str(checkpoint), subfolder="unet", **load).float()
    vae = diffusers.AutoencoderKL.from_single_file(str(checkpoint), subfolder="vae", **load).float()
    unet.save_pretrained(folder / "unet", max_shard_size="8MB")
    vae.save_pretrained(folder / "vae")
    live_diffusers.load_text_encoder(checkpoint, configs["text_encoder"]).save_pretrained(folder / "text_encoder")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    shards = len(list((folder / "unet").glob("*-of-*.safetensors")))
    pictures = []
    with luna_process.LunaDaemon(programs, base / "models", base) as daemon:
        for name in (checkpoint, "shipped"):
            daemon.generate(checkpoint=name, prompt=live_diffusers.PROMPTS[0], width=128, height=128, steps=12, cfg=4,
                            seed=1234, precision="f32", output=base / "luna.png")
            pictures.append(numpy.asarray(Image.open(base / "luna.png").convert("RGB")))
    return shards, int((pictures[0] != pictures[1]).sum()), int(pictures[0].max()) - int(pictures[0].min())


def main():
    programs = pathlib.Path(sys.argv[1])
    try:
        import torch
        import diffusers  # noqa: F401
        import transformers  # noqa: F401
        from safetensors.torch import load_file
    except ImportError as missing:
        print(f"skipped: this check needs a Python with diffusers and transformers ({missing})")
        sys.exit(77)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="luna-parity-") as base:
        for size in ("tiny", "sdxl"):
            folder, file = pathlib.Path(base) / size, pathlib.Path(base) / f"{size}.safetensors"
            make = [programs / "luna-make-checkpoint", "--size", size]
            subprocess.run([*make, "--layout", "diffusers", folder], check=True)
            subprocess.run([*make, file], check=True)
            models, faults = load(folder, size)
            faults += ldm_names_agree(models, load_file(file), size)
            with torch.no_grad():
                picture = models["vae"].decode(torch.ones(1, 4, 8, 8)).sample
            if not picture.isfinite().all():
                faults.append("vae: not finite")
            weights = sum(p.numel() for model in models.values() for p in model.parameters())
            print(f"{'FAILED' if faults else 'ok'}: {size}: {', '.join(models)}: {weights} weights loaded")
            for fault in faults:
                print("   ", fault)
            failures += bool(faults)
        shards, differing, spread = shipped_model(programs, pathlib.Path(base))
        right = differing == 0 and shards > 1 and spread > 25
        failures += not right
        print(f"{'ok' if right else 'FAILED'}: the shipped model as save_pretrained writes it, UNet in {shards} shards: "
              f"{differing} of its picture's values differ from the single file's")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
