import copy
import unittest

import torch
from torch import nn

from luna_train.lora_names import blocks_a_level, kohya_name
from luna_train.lora_stage import ALPHA, RANK, Lora, changed_layers
from luna_train.unet import UNet

try:
    from diffusers import UNet2DConditionModel
except ImportError:
    UNet2DConditionModel = None

SHAPES = (((32, 64, 64), (True, True, False), 1), ((32, 32, 64, 64), (True, True, True, False), 2))


def diffusers_layers(widths, attention, blocks):
    """diffusers' own names of what a LoRA changes, and the shapes."""
    down = tuple("CrossAttnDownBlock2D" if flag else "DownBlock2D" for flag in attention)
    up = tuple("CrossAttnUpBlock2D" if flag else "UpBlock2D" for flag in reversed(attention))
    unet = UNet2DConditionModel(block_out_channels=widths, down_block_types=down, up_block_types=up,
                                layers_per_block=blocks, cross_attention_dim=16, attention_head_dim=8)
    return {"lora_unet_" + name.replace(".", "_"): layer.weight.shape for name, layer in unet.named_modules()
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and ".attentions." in name}


class LoraNames(unittest.TestCase):
    def test_sd15s_own_places(self):
        for layer, name in (("input_blocks.1.1.proj_in", "down_blocks_0_attentions_0_proj_in"),
                            ("input_blocks.8.1.transformer_blocks.0.attn2.to_k",
                             "down_blocks_2_attentions_1_transformer_blocks_0_attn2_to_k"),
                            ("middle_block.1.transformer_blocks.0.ff.net.0.proj",
                             "mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj"),
                            ("output_blocks.3.1.transformer_blocks.0.attn1.to_out.0",
                             "up_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0"),
                            ("output_blocks.11.1.proj_out", "up_blocks_3_attentions_2_proj_out")):
            self.assertEqual(kohya_name(layer, blocks=2), f"lora_unet_{name}")

    @unittest.skipIf(UNet2DConditionModel is None, "needs diffusers to compare its own names")
    def test_names_and_shapes_are_diffusers_own(self):
        for widths, attention, blocks in SHAPES:
            unet = UNet(widths, attention, blocks, context=16)
            self.assertEqual(blocks_a_level(unet), blocks)
            ours = {name: layer.weight.shape for name, layer in changed_layers(unet).items()}
            self.assertEqual(ours, diffusers_layers(widths, attention, blocks))


class LoraEffect(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(7)
        self.unet = UNet((32, 32), (True, False), context=16).eval()
        for part in self.unet.parameters():
            nn.init.normal_(part, std=0.1)
        self.lora = Lora(self.unet)
        self.inputs = torch.randn(1, 4, 8, 8), torch.tensor([500]), torch.randn(1, 5, 16)

    def test_untrained_it_changes_nothing(self):
        before = self.unet(*self.inputs)
        self.lora.attach(self.unet)
        torch.testing.assert_close(self.unet(*self.inputs), before)

    def test_attached_and_merged_are_the_same(self):
        for change in self.lora.values():
            nn.init.normal_(change.up.weight, std=0.5)
        merged = copy.deepcopy(self.unet)
        for name, layer in changed_layers(merged).items():
            product = self.lora[name].up.weight.flatten(1) @ self.lora[name].down.weight.flatten(1)
            layer.weight.data += ALPHA / RANK * product.view_as(layer.weight)
        before = self.unet(*self.inputs)
        self.lora.attach(self.unet)
        after = self.unet(*self.inputs)
        self.assertGreater((after - before).abs().max(), 0.01)
        torch.testing.assert_close(merged(*self.inputs), after, rtol=1e-3, atol=1e-3)


if __name__ == "__main__":
    unittest.main()
