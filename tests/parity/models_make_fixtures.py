"""Makes tests/parity/fixtures/models_*.safetensors: what ComfyUI's own code answers for the made-up weights
of luna_weights.py. Needs a Python with torch, diffusers, transformers, safetensors and ComfyUI's own
requirements:

    COMFYUI_DIR=/path/to/ComfyUI python tests/parity/models_make_fixtures.py

Inputs follow from names too (luna_weights.uniform), so that only answers, thinned out, and token ids are
stored: a case "x" is a tensor of every n-th value of the flattened answer, n in the metadata as "x.stride".
Each answer is checked against diffusers or transformers before it is written.
"""

import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.environ["COMFYUI_DIR"], HERE]
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True
comfy.cli_args.args.use_pytorch_cross_attention = True

import comfy.model_detection  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.model_base  # noqa: E402
import comfy.sd1_clip  # noqa: E402
import comfy.sdxl_clip  # noqa: E402
import comfy.supported_models  # noqa: E402
from comfy.ldm.models.autoencoder import AutoencoderKL  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402
from luna_weights import fill_state_dict, uniform  # noqa: E402

COMMAND = "COMFYUI_DIR=... python tests/parity/models_make_fixtures.py"
MOST_VALUES = 2500


def values(name, shape, scale=1.0):
    count = int(np.prod(shape))
    return torch.from_numpy(uniform(name, count) * np.float32(scale)).reshape(shape)


class Fixture:
    def __init__(self, name):
        self.path = os.path.join(HERE, "fixtures", f"models_{name}.safetensors")
        self.tensors, self.metadata = {}, {"made_by": COMMAND}

    def add(self, name, answer, most=MOST_VALUES):
        flat = answer.detach().float().flatten()
        # Odd, so that the values kept wander through rows and channels.
        stride = max(1, -(-flat.numel() // most)) | 1
        self.tensors[name] = flat[::stride].contiguous().clone()
        self.metadata[name + ".stride"] = str(stride)

    def check(self, name, answer, other, limit=2e-5):
        answer, other = answer.detach().double(), other.detach().double()
        error = float((answer - other).norm() / other.norm())
        print(f"{name}: rms {float(answer.square().mean().sqrt()):.4f}, against the other reference {error:.2e}")
        assert error < limit, name

    def write(self):
        save_file(self.tensors, self.path, self.metadata)
        print(self.path, os.path.getsize(self.path), "bytes")


def levels(per_level, blocks):
    return [depth for depth, count in zip(per_level, blocks) for _ in range(count)]


def comfy_unet(channels, mult, blocks, depth, middle, context, linear=False, adm=None, heads=8, head_width=-1):
    config = dict(
        image_size=32, in_channels=4, out_channels=4, model_channels=channels, num_res_blocks=blocks,
        channel_mult=mult, transformer_depth=levels(depth, blocks), transformer_depth_middle=middle,
        transformer_depth_output=levels(depth, [count + 1 for count in blocks]),
        use_spatial_transformer=True, context_dim=context, use_linear_in_transformer=linear, legacy=False,
        adm_in_channels=adm, num_heads=heads, num_head_channels=head_width, dtype=torch.float32, device="cpu",
        operations=comfy.ops.manual_cast,
    )
    if adm is not None:
        config["num_classes"] = "sequential"
    unet = UNetModel(**config)
    weights = fill_state_dict(unet.state_dict())
    found = comfy.model_detection.detect_unet_config({"p." + k: v for k, v in weights.items()}, "p.")
    for key in ("model_channels", "channel_mult", "num_res_blocks", "transformer_depth", "context_dim"):
        assert found[key] == config[key], (key, found[key], config[key])
    unet.load_state_dict(weights)
    return unet.eval(), weights


def diffusers_unet(weights, channels, mult, blocks, depth, context):
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = dict(
        in_channels=4, out_channels=4, block_out_channels=tuple(channels * m for m in mult),
        layers_per_block=blocks[0], cross_attention_dim=context, attention_head_dim=8,
        down_block_types=tuple("CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depth),
        up_block_types=tuple("CrossAttnUpBlock2D" if d else "UpBlock2D" for d in reversed(depth)),
        class_embed_type=None, addition_embed_type=None,
    )
    unet = UNet2DConditionModel(**config)
    prefixed = {"model.diffusion_model." + k: v for k, v in weights.items()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(prefixed, config))
    return unet.eval()


UNETS = {
    # The defaults of TinySd15Options; every size that SD1.5 meets, odd ones too.
    "a": dict(channels=32, mult=[1, 2, 2, 2], blocks=[1, 1, 1, 1], depth=[1, 1, 1, 0], middle=1, context=64),
    # Other widths, another number of levels, blocks a level and transformers a block.
    "b": dict(channels=64, mult=[1, 2, 4], blocks=[2, 1, 2], depth=[1, 2, 0], middle=1, context=128),
}
UNET_CASES = [(1, 8, 8, 77), (1, 5, 7, 77), (5, 9, 16, 77), (2, 12, 10, 154)]


def unet_input(tag, rows, height, width, tokens, context):
    x = values(f"{tag}.x", (rows, 4, height, width), 1.5)
    timestep = torch.tensor([999.0, 0.0, 500.0, 17.0, 251.5][:rows])
    return x, timestep, values(f"{tag}.context", (rows, tokens, context), 1.5)


def make_unet():
    fixture = Fixture("unet")
    for key, config in UNETS.items():
        unet, weights = comfy_unet(**config)
        other = None
        if len(set(config["blocks"])) == 1 and max(config["depth"]) == 1:
            other = diffusers_unet(weights, **{k: v for k, v in config.items() if k != "middle"})
        for rows, height, width, tokens in UNET_CASES:
            name = f"{key}_{rows}x{height}x{width}_{tokens}"
            x, timestep, context = unet_input(name, rows, height, width, tokens, config["context"])
            answer = unet(x, timestep, context)
            if other is not None:
                fixture.check(name, answer, other(x, timestep, context).sample)
            fixture.add(name, answer)
    # SDXL's shape at a small size: matrices as projections, heads of 64, vector conditioning.
    unet, _ = comfy_unet(64, [1, 2], [1, 1], [0, 2], 2, 96, linear=True, adm=40, heads=-1, head_width=64)
    x, timestep, context = unet_input("adm", 2, 6, 9, 77, 96)
    fixture.add("adm", unet(x, timestep, context, y=values("adm.y", (2, 40))))
    fixture.write()


def comfy_clip(width, layers, heads, dtype):
    config = dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width)
    clip = comfy.sd1_clip.SD1CheckpointClipModel(dtype=dtype, model_options={"model_name": "clip_l", "clip_l_model_config": config})
    shapes = {k: torch.empty(v.shape, dtype=torch.float32) for k, v in clip.transformer.state_dict().items()}
    weights = {k: v.to(dtype) for k, v in fill_state_dict(shapes).items()}
    clip.load_sd(weights)
    return clip, weights


def transformers_clip(weights, width, layers, heads):
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
                            intermediate_size=4 * width, hidden_act="quick_gelu", vocab_size=49408,
                            bos_token_id=49406, eos_token_id=49407)
    model = CLIPTextModel(config)
    own = model.state_dict()
    found = {}
    for key in own:
        bare = key.removeprefix("text_model.")
        if "text_model." + bare in weights:
            found[key] = weights["text_model." + bare].float()
    model.load_state_dict(found, strict=False)
    return model.eval()


START, END = 49406, 49407


def chunks_of(name, count, pad=END):
    """`count` made-up tokens in chunks of 77, as the tokenizer lays them out."""
    ids = ((uniform(name, max(count, 1)).astype(np.float64) + 1) * 24000).astype(np.int64)[:count].tolist()
    pieces = [ids[i : i + 75] for i in range(0, count, 75)] or [[]]
    return [[START, *piece, END] + [pad] * (75 - len(piece)) for piece in pieces]


CLIPS = {"a": (64, 2, 1, torch.float32), "b": (128, 3, 2, torch.float32), "half": (64, 2, 1, torch.float16)}
# name: encoder, tokens, weighted, clip skip, vectors given directly
CLIP_CASES = {
    **{f"a_{count}": ("a", count, False, 0, 0) for count in (0, 5, 76, 77, 200)},
    "a_weighted_5": ("a", 5, True, 0, 0),
    "a_weighted_200": ("a", 200, True, 0, 0),
    "a_skip_2": ("a", 5, False, 2, 0),
    "a_skip_1": ("a", 5, False, 1, 0),
    "a_vectors": ("a", 9, True, 0, 3),
    "b_76": ("b", 76, False, 0, 0),
    "b_skip_2_weighted": ("b", 77, True, 2, 0),
    "b_skip_3": ("b", 5, False, 3, 0),
    "half_5": ("half", 5, False, 0, 0),
}


def make_clip():
    fixture = Fixture("clip")
    built = {key: comfy_clip(*shape) for key, shape in CLIPS.items()}
    others = {key: transformers_clip(built[key][1], *shape[:3]) for key, shape in CLIPS.items()}
    for name, (key, count, weighted, skip, vectors) in CLIP_CASES.items():
        clip, _ = built[key]
        width = CLIPS[key][0]
        chunks = chunks_of(name, count)
        weights = torch.ones(len(chunks), 77)
        if weighted:
            weights[:, 2:60:3] = 1.3
            weights[:, 4:40:5] = 0.5
        pairs = [[(token, float(w)) for token, w in zip(chunk, row)] for chunk, row in zip(chunks, weights)]
        given = values(f"{name}.vectors", (vectors, width), 0.5)
        for i in range(vectors):
            pairs[0][2 + i] = (given[i], pairs[0][2 + i][1])
        clip.reset_clip_options()
        if skip:
            clip.set_clip_options({"layer": -skip})
        hidden, pooled = clip.encode_token_weights(pairs)
        if not weighted and not vectors:
            theirs = others[key](torch.tensor(chunks), output_hidden_states=True)
            norm = getattr(others[key], "text_model", others[key]).final_layer_norm
            state = norm(theirs.hidden_states[-max(skip, 1)])
            fixture.check(name, hidden, state.reshape(hidden.shape))
            position = chunks[0].index(END)
            fixture.check(name + ".pooled", pooled, norm(theirs.hidden_states[-1])[:1, position])
        fixture.tensors[name + ".ids"] = torch.tensor(chunks, dtype=torch.int32)
        fixture.tensors[name + ".weights"] = weights.half()
        fixture.add(name + ".hidden", hidden)
        fixture.add(name + ".pooled", pooled)
    fixture.write()


# name: tokens, weighted, clip skip
SDXL_CASES = {"5": (5, False, 0), "0": (0, False, 0), "weighted_200": (200, True, 0), "skip_1": (9, False, 1),
              "skip_3": (76, True, 3)}


def comfy_sdxl_clip(width_l, width_g, layers):
    """SDXL's two text encoders from a single file's names."""
    def config(width):
        return dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width)

    clip = comfy.sdxl_clip.SDXLClipModel(dtype=torch.float32, model_options={"clip_l_model_config": config(width_l),
                                                                            "clip_g_model_config": config(width_g)})
    l_shapes = {k: torch.empty(v.shape) for k, v in clip.clip_l.transformer.state_dict().items() if k.startswith("text_model.")}
    g_shapes = {"positional_embedding": (77, width_g), "text_projection": (width_g, width_g),
                "token_embedding.weight": (49408, width_g), "ln_final.weight": (width_g,), "ln_final.bias": (width_g,)}
    for i in range(layers):
        block = f"transformer.resblocks.{i}."
        g_shapes |= {block + "attn.in_proj_weight": (3 * width_g, width_g), block + "attn.in_proj_bias": (3 * width_g,),
                     block + "attn.out_proj.weight": (width_g, width_g), block + "attn.out_proj.bias": (width_g,),
                     block + "mlp.c_fc.weight": (4 * width_g, width_g), block + "mlp.c_fc.bias": (4 * width_g,),
                     block + "mlp.c_proj.weight": (width_g, 4 * width_g), block + "mlp.c_proj.bias": (width_g,)}
        g_shapes |= {f"{block}ln_{n}.{kind}": (width_g,) for n in (1, 2) for kind in ("weight", "bias")}
    weights = {"conditioner.embedders.0.transformer." + k: v for k, v in fill_state_dict(l_shapes).items()}
    weights |= {"conditioner.embedders.1.model." + k: v
                for k, v in fill_state_dict({k: torch.empty(shape) for k, shape in g_shapes.items()}).items()}
    loaded = comfy.supported_models.SDXL.process_clip_state_dict(None, weights)
    missing, unexpected = clip.load_state_dict(loaded, strict=False)
    assert not unexpected and not [name for name in missing if "logit_scale" not in name and "clip_l.transformer.text_projection" not in name], (missing, unexpected)
    return clip


def make_sdxl():
    fixture = Fixture("sdxl")
    clip = comfy_sdxl_clip(64, 128, 3)
    for name, (count, weighted, skip) in SDXL_CASES.items():
        pairs = {}
        for key, pad in (("l", END), ("g", 0)):
            chunks = chunks_of(f"sdxl_{name}.{key}", count, pad)
            weights = torch.ones(len(chunks), 77)
            if weighted:
                weights[:, 2:60:3] = 1.3
                weights[:, 4:40:5] = 0.5
            pairs[key] = [[(token, float(w)) for token, w in zip(chunk, row)] for chunk, row in zip(chunks, weights)]
            fixture.tensors[f"{name}.{key}.ids"] = torch.tensor(chunks, dtype=torch.int32)
            fixture.tensors[f"{name}.{key}.weights"] = weights.half()
        clip.reset_clip_options()
        if skip:
            clip.set_clip_options({"layer": -skip})
        hidden, pooled = clip.encode_token_weights(pairs)
        fixture.add(name + ".hidden", hidden)
        fixture.add(name + ".pooled", pooled)

    class Model:
        embedder = comfy.model_base.Timestep(256)
        noise_augmentor = None

    pooled = values("sdxl.pooled", (1, 128))
    sizes = {"height": 1000, "width": 640, "crop_h": 7, "crop_w": 16, "target_height": 512, "target_width": 1024}
    for name, model, extra in (("usual", comfy.model_base.SDXL, {}), ("sizes", comfy.model_base.SDXL, sizes),
                               ("refiner", comfy.model_base.SDXLRefiner, {}),
                               ("refiner_negative", comfy.model_base.SDXLRefiner, {"prompt_type": "negative"}),
                               ("refiner_score", comfy.model_base.SDXLRefiner, {"aesthetic_score": 9})):
        given = {"pooled_output": pooled, "height": 40 * 8, "width": 56 * 8} | extra
        fixture.add("y." + name, model.encode_adm(Model(), **given))
    fixture.write()


VAES = {"a": (32, [1, 2, 2, 2], 1), "b": (64, [1, 1, 2, 2], 2)}


def comfy_vae(channels, mult, blocks):
    params = dict(ddconfig=dict(double_z=True, z_channels=4, resolution=256, in_channels=3, out_ch=3, ch=channels,
                                ch_mult=mult, num_res_blocks=blocks, attn_resolutions=[], dropout=0.0), embed_dim=4)
    weights = fill_state_dict(AutoencoderKL(**params).state_dict())
    vae = comfy.sd.VAE(sd=dict(weights), config={"params": params}, dtype=torch.float32, device=torch.device("cpu"))
    vae.process_input = vae.process_output = lambda picture: picture
    return vae, weights


def diffusers_vae(weights, channels, mult, blocks):
    from diffusers import AutoencoderKL as Theirs
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = dict(in_channels=3, out_channels=3, latent_channels=4, layers_per_block=blocks,
                  block_out_channels=tuple(channels * m for m in mult),
                  down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    vae = Theirs(**config)
    vae.load_state_dict(convert_ldm_vae_checkpoint({"first_stage_model." + k: v for k, v in weights.items()}, config))
    return vae.eval()


def make_vae():
    fixture = Fixture("vae")
    for key, shape in VAES.items():
        vae, weights = comfy_vae(*shape)
        other = diffusers_vae(weights, *shape)
        for rows, height, width in ((1, 5, 7), (2, 9, 6)):
            name = f"{key}_{rows}x{height}x{width}"
            latent = values(name + ".latent", (rows, 4, height, width), 1.5)
            pixels = values(name + ".pixels", (rows, 3, 8 * height, 8 * width))
            answer = vae.first_stage_model.decode(latent)
            fixture.check(name + ".decode", answer, other.decode(latent).sample)
            fixture.add(name + ".decode", answer)
            answer = vae.first_stage_model.encode(pixels)
            fixture.check(name + ".encode", answer, other.encode(pixels).latent_dist.mean)
            fixture.add(name + ".encode", answer)
    vae, _ = comfy_vae(*VAES["a"])
    latent = values("tiled.latent", (2, 4, 20, 27), 1.5)
    pixels = values("tiled.pixels", (1, 3, 160, 216))
    fixture.add("tiled.decode", vae.decode_tiled_(latent, tile_x=16, tile_y=16, overlap=4))
    fixture.add("tiled.decode_part", vae.decode_tiled_(latent[:1, :, :12], tile_x=16, tile_y=16, overlap=2))
    fixture.add("tiled.encode", vae.encode_tiled_(pixels, tile_x=128, tile_y=128, overlap=32))
    fixture.write()


def make_taesd():
    fixture = Fixture("taesd")
    for channels, shape in ((4, (1, 4, 5, 7)), (16, (2, 16, 3, 4))):
        model = TAESD(latent_channels=channels)
        model.taesd_decoder.load_state_dict(fill_state_dict(model.taesd_decoder.state_dict()))
        answer = model.decode(values(f"taesd_{channels}.latent", shape, 6))
        fixture.add(str(channels), answer, most=99)
    fixture.write()


if __name__ == "__main__":
    with torch.inference_mode():
        make_unet()
        make_clip()
        make_sdxl()
        make_vae()
        make_taesd()
