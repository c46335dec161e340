"""CLIP's own byte-pair tokens for captions."""

import functools

import torch
from open_clip.tokenizer import SimpleTokenizer

from . import scene as scenes
from .text_encoder import END, TOKENS


@functools.cache
def _tokenizer():
    return SimpleTokenizer()


@functools.lru_cache(maxsize=65536)
def _word_tokens(text):
    return tuple(_tokenizer().encode(text))


def tokenize(texts, length=TOKENS):
    """Token ids [B, length]: start, words, end, and the end token again as padding, as SD1.5's encoder takes them."""
    rows = torch.full((len(texts), length), END, dtype=torch.long)
    for row, text in zip(rows, texts):
        ids = (END - 1, *_word_tokens(text)[: length - 2], END)
        row[: len(ids)] = torch.tensor(ids)
    return rows


@functools.cache
def used_tokens():
    """Every token that a caption of the grammar can hold, ascending."""
    phrases = [*scenes.OBJECTS, *(noun + "s" for noun in scenes.OBJECTS), *scenes.PLURALS.values(), *scenes.COLOURS,
               *scenes.NUMBER_WORDS.values(), "a an and ,"]
    for group in (scenes.SYNONYMS, scenes.SIZE_WORDS, scenes.POSITION_PHRASES, scenes.BACKGROUND_PHRASES, scenes.STYLE_PHRASES):
        phrases += [phrase for options in group.values() for phrase in options]
    phrases += [noun + "s" for options in scenes.SYNONYMS.values() for noun in options]
    ids = {token for phrase in phrases for token in _word_tokens(phrase)}
    return tuple(sorted(ids | {END - 1, END}))
