"""kohya's names for the UNet's layers: diffusers' module paths with underscores, any number of levels and blocks."""

import re

_PLACE = re.compile(r"(input_blocks|middle_block|output_blocks)\.(\d+)\.(?:1\.)?(.+)")


def kohya_name(layer, blocks):
    """"lora_unet_down_blocks_0_attentions_0_proj_in" for "input_blocks.1.1.proj_in"; `blocks`: residual blocks a level.

    Of SD1.5's numbers, input block 0 is the first convolution and every level but the last ends with a halving;
    diffusers counts levels and attentions apart, the upward levels from the innermost one."""
    part, number, rest = _PLACE.fullmatch(layer).groups()
    number = int(number)
    if part == "input_blocks":
        place = f"down_blocks_{(number - 1) // (blocks + 1)}_attentions_{(number - 1) % (blocks + 1)}"
    elif part == "middle_block":
        place = "mid_block_attentions_0"
    else:
        place = f"up_blocks_{number // (blocks + 1)}_attentions_{number % (blocks + 1)}"
    return f"lora_unet_{place}_{rest.replace('.', '_')}"


def blocks_a_level(unet):
    """Of ldm's input blocks: the first convolution, then each level's blocks, halvings between the levels."""
    return len(unet.input_blocks) // len(unet.widths) - 1
