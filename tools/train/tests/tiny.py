"""Everything that training does, at a size that takes seconds."""

import contextlib
import functools

import torch

from luna_train.preset import Preset
from luna_train.stage import Workers

TINY = Preset("tiny", 64, (8, 8, 8, 8), 4, 4, 8, 1, 4, (32, 32), (True, False), 4, 4, 32, 4, 4, text_width=16,
              style_pictures=32, concept_pictures=32, embedding_steps=4, upscaler_pictures=2, upscaler_steps=4,
              judge_steps=4, judge_batch=8)
ALONE = Workers()


def exact():
    """In place of autocast."""
    return contextlib.nullcontext()


bf16 = functools.partial(torch.autocast, "cpu", torch.bfloat16)
