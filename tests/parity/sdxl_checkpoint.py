"""Writes SDXL checkpoints with made-up weights, in half precision, in the single-file layout and with the shapes that
ComfyUI's loader recognises: SDXL base and refiner, Segmind-Vega, KOALA-700M and KOALA-1B.

usage: sdxl_checkpoint.py KIND FILE.safetensors     (COMFYUI_DIR, its Python)

Names and shapes are those of ComfyUI's own modules, made without memory; text encoders have the names of the published
files (transformers' for CLIP-L, open_clip's for CLIP-G). Values: luna_weights.weight, with what ends a residual branch
made smaller, so that activations stay near 1 through all blocks.
"""

import json
import os
import pathlib
import struct
import sys

import numpy

from luna_weights import weight

KINDS = {
    "base": dict(model_channels=320, context_dim=2048, adm=2816, blocks=[2, 2, 2], mult=[1, 2, 4],
                 depth=[0, 0, 2, 2, 10, 10], middle=10, up=[0, 0, 0, 2, 2, 2, 10, 10, 10]),
    "refiner": dict(model_channels=384, context_dim=1280, adm=2560, blocks=[2, 2, 2, 2], mult=[1, 2, 4, 4],
                    depth=[0, 0, 4, 4, 4, 4, 0, 0], middle=4, up=[0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0]),
    "vega": dict(model_channels=320, context_dim=2048, adm=2816, blocks=[2, 2, 2], mult=[1, 2, 4],
                 depth=[0, 0, 1, 1, 2, 2], middle=-1, up=[0, 0, 0, 1, 1, 1, 2, 2, 2]),
    "koala-700m": dict(model_channels=320, context_dim=2048, adm=2816, blocks=[1, 1, 1], mult=[1, 2, 4],
                       depth=[0, 2, 5], middle=-2, up=[0, 0, 2, 2, 5, 5]),
    "koala-1b": dict(model_channels=320, context_dim=2048, adm=2816, blocks=[1, 1, 1], mult=[1, 2, 4],
                     depth=[0, 2, 6], middle=6, up=[0, 0, 2, 2, 6, 6]),
}
RESIDUAL_ENDS = ("out_layers.3.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight", "conv2.weight",
                 "self_attn.out_proj.weight", "mlp.fc2.weight", "attn.out_proj.weight", "mlp.c_proj.weight")
RESIDUAL_SCALE = numpy.float32(0.4)


def unet_shapes(kind):
    import torch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    with torch.device("meta"):
        unet = UNetModel(image_size=32, in_channels=4, out_channels=4, model_channels=kind["model_channels"],
                         num_res_blocks=kind["blocks"], channel_mult=kind["mult"], transformer_depth=kind["depth"],
                         transformer_depth_middle=kind["middle"], transformer_depth_output=kind["up"],
                         context_dim=kind["context_dim"], use_spatial_transformer=True, use_linear_in_transformer=True,
                         num_heads=-1, num_head_channels=64, num_classes="sequential", adm_in_channels=kind["adm"],
                         legacy=False, device="meta")
    return {f"model.diffusion_model.{name}": tuple(tensor.shape) for name, tensor in unet.state_dict().items()}


def vae_shapes():
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL

    with torch.device("meta"):
        vae = AutoencoderKL(embed_dim=4, ddconfig=dict(double_z=True, z_channels=4, resolution=256, in_channels=3, out_ch=3,
                                                       ch=128, ch_mult=[1, 2, 4, 4], num_res_blocks=2,
                                                       attn_resolutions=[], dropout=0.0))
    return {f"first_stage_model.{name}": tuple(tensor.shape) for name, tensor in vae.state_dict().items()}


def clip_l_shapes(prefix, width=768, layers=12):
    prefix += "transformer.text_model."
    shapes = {"embeddings.token_embedding.weight": (49408, width), "embeddings.position_embedding.weight": (77, width),
              "final_layer_norm.weight": (width,), "final_layer_norm.bias": (width,)}
    for layer in range(layers):
        parts = {f"self_attn.{name}_proj": (width, width) for name in "qkv"}
        parts |= {"self_attn.out_proj": (width, width), "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width),
                  "layer_norm1": (width,), "layer_norm2": (width,)}
        for name, shape in parts.items():
            shapes[f"encoder.layers.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layers.{layer}.{name}.bias"] = shape[:1]
    return {prefix + name: shape for name, shape in shapes.items()}


def clip_g_shapes(prefix, width=1280, layers=32):
    prefix += "model."
    shapes = {"token_embedding.weight": (49408, width), "positional_embedding": (77, width),
              "text_projection": (width, width), "ln_final.weight": (width,), "ln_final.bias": (width,),
              "logit_scale": ()}
    for layer in range(layers):
        parts = {"attn.out_proj": (width, width), "mlp.c_fc": (4 * width, width), "mlp.c_proj": (width, 4 * width),
                 "ln_1": (width,), "ln_2": (width,)}
        block = f"transformer.resblocks.{layer}."
        shapes[block + "attn.in_proj_weight"], shapes[block + "attn.in_proj_bias"] = (3 * width, width), (3 * width,)
        for name, shape in parts.items():
            shapes[f"{block}{name}.weight"], shapes[f"{block}{name}.bias"] = shape, shape[:1]
    return {prefix + name: shape for name, shape in shapes.items()}


def shapes_of(name):
    shapes = unet_shapes(KINDS[name]) | vae_shapes()
    if name == "refiner":
        return shapes | clip_g_shapes("conditioner.embedders.0.")
    return shapes | clip_l_shapes("conditioner.embedders.0.") | clip_g_shapes("conditioner.embedders.1.")


def value(name, shape):
    values = weight(name, shape)
    if name.endswith(RESIDUAL_ENDS):
        values = values * RESIDUAL_SCALE
    return values.astype(numpy.float16)


def write(path, shapes):
    """One tensor in memory at a time; returns the file's size."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(numpy.prod(shape, dtype=numpy.int64))
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            file.write(value(name, shape).tobytes())
    return 8 + len(text) + end


def main():
    name, path = sys.argv[1], pathlib.Path(sys.argv[2])
    if name not in KINDS:
        sys.exit(f"no kind '{name}'; there are {', '.join(KINDS)}")
    sys.argv = sys.argv[:1]
    sys.path.insert(0, os.environ["COMFYUI_DIR"])
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    path.parent.mkdir(parents=True, exist_ok=True)
    print(json.dumps(dict(kind=name, file=str(path), bytes=write(path, shapes_of(name)))))


if __name__ == "__main__":
    main()
