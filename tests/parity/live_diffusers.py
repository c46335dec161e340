"""The shipped checkpoint in diffusers' single-file path, and the same picture from there and from `luna generate`, from
the same noise: at most 1e-2 apart anywhere (of values from 0 to 1).

usage: live_diffusers.py BIN_FOLDER [CHECKPOINT]     (a Python with diffusers, transformers, safetensors, Pillow)
"""

import json
import pathlib
import sys
import tempfile

import luna_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPTS = ["a red boat at sea", "a big blue star at the top, at night"]
# 28 points from 999 to 0 are whole timesteps, where the two ways to interpolate sigmas agree.
STEPS, CFG, SEED = 28, 4.0, 1234
WORST = 1e-2


def sizes(checkpoint):
    """What diffusers wants to be told, from the file's shapes and metadata."""
    from safetensors import safe_open
    with safe_open(checkpoint, "pt") as file:
        shape = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}
        return shape, file.metadata()


def count(shape, pattern):
    number = 0
    while pattern.format(number) in shape:
        number += 1
    return number


def write_configs(checkpoint, folder):
    """A folder with the configurations of the checkpoint's three networks, as a diffusers repository has them."""
    shape, metadata = sizes(checkpoint)
    unet, vae, text = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
    widths, attention, block = [], [], 1
    while f"{unet}input_blocks.{block}.0.out_layers.3.weight" in shape:
        widths.append(shape[f"{unet}input_blocks.{block}.0.out_layers.3.weight"][0])
        attention.append(f"{unet}input_blocks.{block}.1.norm.weight" in shape)
        block += 2
    down = ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention]
    up = ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)]
    width = shape[f"{text}final_layer_norm.weight"][0]
    levels = count(shape, vae + "decoder.up.{}.block.0.conv1.weight")
    vae_widths = [shape[f"{vae}encoder.down.{i}.block.0.conv2.weight"][0] for i in range(levels)]
    heads = int(metadata.get("luna.unet.heads", 8))
    configs = {
        "unet": dict(_class_name="UNet2DConditionModel", in_channels=4, out_channels=4, sample_size=16,
                     block_out_channels=widths, layers_per_block=1, down_block_types=down, up_block_types=up,
                     cross_attention_dim=width, attention_head_dim=heads, norm_num_groups=32),
        "vae": dict(_class_name="AutoencoderKL", in_channels=3, out_channels=3, latent_channels=4, sample_size=128,
                    block_out_channels=vae_widths, layers_per_block=1, scaling_factor=0.18215,
                    norm_num_groups=int(metadata.get("luna.vae.groups", 32)),
                    down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels),
        "text_encoder": dict(architectures=["CLIPTextModel"], model_type="clip_text_model", hidden_size=width,
                             intermediate_size=shape[f"{text}encoder.layers.0.mlp.fc1.weight"][0],
                             num_hidden_layers=count(shape, text + "encoder.layers.{}.layer_norm1.weight"),
                             num_attention_heads=int(metadata.get("luna.clip_l.heads", width // 64)),
                             hidden_act="quick_gelu", vocab_size=49408, max_position_embeddings=77,
                             projection_dim=width, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)}
    for name, config in configs.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    return configs


def load_text_encoder(checkpoint, config):
    import transformers
    from safetensors.torch import load_file
    encoder = transformers.CLIPTextModel(transformers.CLIPTextConfig(**config)).eval()
    prefix = "cond_stage_model.transformer."
    tensors = {name.removeprefix(prefix): tensor.float() for name, tensor in load_file(checkpoint).items()
               if name.startswith(prefix) and "position_ids" not in name}
    own = set(encoder.state_dict())
    if not own & set(tensors):  # transformers 5 has no "text_model." in front
        tensors = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    missing, unexpected = encoder.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if "position_ids" not in name]
    if missing or unexpected:
        sys.exit(f"the text encoder does not fit: missing {missing}, unexpected {unexpected}")
    return encoder


def reference_picture(unet, vae, encoder, prompt):
    """[H, W, 3] from 0 to 1: Euler over `STEPS` timesteps from 999 to 0, from ComfyUI's noise of SEED."""
    import diffusers
    import open_clip
    import torch

    tokens = torch.zeros(2, 77, dtype=torch.long) + 49407
    for row, text in enumerate((prompt, "")):
        words = open_clip.tokenize([text])[0]
        end = int((words == 49407).nonzero()[0])
        tokens[row, :end] = words[:end]
    scheduler = diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                                 timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        context = encoder(tokens).last_hidden_state
        noise = torch.randn((1, 4, 16, 16), generator=torch.Generator("cpu").manual_seed(SEED))
        x = noise * (1 + scheduler.sigmas[0] ** 2) ** 0.5
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, timestep)
            yes, no = unet(torch.cat([scaled, scaled]), timestep, context).sample.chunk(2)
            x = scheduler.step(no + CFG * (yes - no), timestep, x).prev_sample
        picture = vae.decode(x / vae.config.scaling_factor).sample
    return (picture[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1).numpy()


def main():
    programs = pathlib.Path(sys.argv[1])
    checkpoint = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "models/checkpoints/luna-scenes.safetensors"
    if not checkpoint.exists():
        print(f"skipped: there is no {checkpoint}")
        sys.exit(77)
    try:
        import diffusers
        import numpy
        import open_clip  # noqa: F401
        import transformers  # noqa: F401
        from PIL import Image
    except ImportError as missing:
        print(f"skipped: this comparison needs a Python with diffusers, transformers and open_clip ({missing})")
        sys.exit(77)

    with tempfile.TemporaryDirectory(prefix="luna-parity-") as folder:
        base = pathlib.Path(folder)
        configs = write_configs(checkpoint, base / "configs")
        load = dict(config=str(base / "configs"), local_files_only=True)
        unet = diffusers.UNet2DConditionModel.from_single_file(str(checkpoint), subfolder="unet", **load).float().eval()
        vae = diffusers.AutoencoderKL.from_single_file(str(checkpoint), subfolder="vae", **load).float().eval()
        encoder = load_text_encoder(checkpoint, configs["text_encoder"])
        failures = 0
        with luna_process.LunaDaemon(programs, checkpoint.resolve().parents[1], base) as daemon:
            for prompt in PROMPTS:
                name = base / "luna.png"
                daemon.generate(checkpoint=checkpoint.name, prompt=prompt, width=128, height=128, steps=STEPS, cfg=CFG,
                                sampler="euler", scheduler="normal", seed=SEED, precision="f32", output=name)
                ours = numpy.asarray(Image.open(name).convert("RGB"), dtype=numpy.float32) / 255
                reference = reference_picture(unet, vae, encoder, prompt)
                worst, spread = float(numpy.abs(ours - reference).max()), float(reference.max() - reference.min())
                verdict = "ok" if worst <= WORST and spread > 0.1 else "FAILED"
                failures += verdict != "ok"
                print(f"{verdict}: '{prompt}': at most {worst:.4f} apart ({WORST} allowed), values spread over {spread:.2f}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
