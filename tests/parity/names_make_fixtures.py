"""Makes tests/parity/fixtures/adapters/names_diffusers.json: the names of tensors that diffusers' own saver, and its
converter to kohya's format, give a LoRA of all layers of a small SDXL (TinySd15Options::sdxl()). Needs diffusers,
transformers and peft:

    python tests/parity/names_make_fixtures.py
"""

import json
import os
import pathlib
import tempfile

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import diffusers  # noqa: E402
import transformers  # noqa: E402
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel  # noqa: E402
from diffusers.utils import (convert_all_state_dict_to_peft, convert_state_dict_to_diffusers,  # noqa: E402
                             convert_state_dict_to_kohya)
from peft import LoraConfig  # noqa: E402
from peft.utils import get_peft_model_state_dict  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def models():
    unet = UNet2DConditionModel(
        sample_size=32, block_out_channels=(64, 128), layers_per_block=1, transformer_layers_per_block=(1, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(1, 2), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=80, cross_attention_dim=192)

    def text(kind, width):
        return kind(transformers.CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=3,
                                                num_attention_heads=1, vocab_size=100, projection_dim=width))

    return {"unet": unet, "text_encoder": text(transformers.CLIPTextModel, 64),
            "text_encoder_2": text(transformers.CLIPTextModelWithProjection, 128)}


def main():
    import torch

    states = {}
    for name, model in models().items():
        layers = [path for path, layer in model.named_modules() if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d))]
        model.add_adapter(LoraConfig(r=1, target_modules=layers))
        states[f"{name}_lora_layers"] = convert_state_dict_to_diffusers(get_peft_model_state_dict(model))
    with tempfile.TemporaryDirectory() as folder:
        StableDiffusionXLPipeline.save_lora_weights(folder, **states)
        saved = load_file(pathlib.Path(folder) / "pytorch_lora_weights.safetensors")
    kohya = convert_state_dict_to_kohya(convert_all_state_dict_to_peft(saved))
    page = {"made_by": f"tests/parity/names_make_fixtures.py, diffusers {diffusers.__version__}, transformers "
                       f"{transformers.__version__}",
            "diffusers": sorted(saved), "kohya": sorted(kohya)}
    file = HERE / "fixtures/adapters/names_diffusers.json"
    file.write_text(json.dumps(page, indent=0) + "\n")
    print(len(saved), len(kohya), file.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
