"""Writes a small checkpoint that ComfyUI's own loader takes for SD1.5: its widths, CLIP-L and VAE,
and a UNet of two levels. Made-up weights in half precision.

usage: sd15_checkpoint.py FILE.safetensors [--inpaint]     (COMFYUI_DIR, its Python)
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "parity"))
import sdxl_checkpoint


def unet_shapes(in_channels: int) -> dict[str, tuple[int, ...]]:
    import torch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(
        image_size=32,
        in_channels=in_channels,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[1, 1],
        channel_mult=[1, 2],
        transformer_depth=[1, 1],
        transformer_depth_middle=1,
        transformer_depth_output=[1, 1, 1, 1],
        context_dim=768,
        use_spatial_transformer=True,
        use_linear_in_transformer=False,
        num_heads=8,
        legacy=False,
        device=torch.device("meta"),
    )
    return {
        f"model.diffusion_model.{name}": tuple(tensor.shape)
        for name, tensor in unet.state_dict().items()
    }


def main() -> None:
    file, *flags = sys.argv[1:]
    sys.argv = sys.argv[:1]
    sys.path.insert(0, os.environ["COMFYUI_DIR"])
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    shapes = unet_shapes(9 if "--inpaint" in flags else 4)
    shapes |= sdxl_checkpoint.vae_shapes() | sdxl_checkpoint.clip_l_shapes("cond_stage_model.")
    sdxl_checkpoint.write(pathlib.Path(file), shapes)


if __name__ == "__main__":
    main()
