"""The `.patches` of a patcher as an ordered LoRA set: which adapter files, with which strengths.

`.patches` maps a weight's key to its patches in order. A LoRA node adds one patch to many keys in
one call; patches of one call belong into one file, so that a LoRA is uploaded once whatever stands
before or behind it in the chain.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .adapter_file import UnservedPatch

_calls = itertools.count()


class Patch(tuple):
    """(strength, value, strength of the model, offset, function), as ComfyUI keeps it, with the
    number of its call."""

    call: int

    @staticmethod
    def of(entry: Sequence[Any], call: int) -> "Patch":
        patch = Patch(entry)
        patch.call = call
        return patch


def next_call() -> int:
    """Numbers rise, so that the order of calls is the order of numbers."""
    return next(_calls)


@dataclass
class LoraLayer:
    """What one call added: one adapter file at one strength."""

    strength: float
    patches: dict[str, Any] = field(default_factory=dict)
    # Of equal number, equal patches: what a cache may go by. None: made up for the moment.
    call: int | None = None


def _checked(key: str, entry: Sequence[Any]) -> tuple[float, Any]:
    strength, value, strength_model, offset, function = entry
    if strength_model != 1.0:
        raise UnservedPatch(
            f"{key}: a patch that scales the model's own weight (by {strength_model}) is not "
            "served; "
            "merging models is done in files"
        )
    if offset is not None:
        raise UnservedPatch(f"{key}: a patch of a part of a weight (offset {offset}) is not served")
    if function is not None:
        raise UnservedPatch(f"{key}: a patch with a Python function is not served")
    return float(strength), value


def _by_call(patches: Mapping[str, Sequence[Any]]) -> list[LoraLayer] | None:
    """None where an entry is of no numbered call, or a key's order is not that of the calls."""
    layers: dict[tuple[int, float], LoraLayer] = {}
    for key, entries in patches.items():
        last = -1
        for entry in entries:
            call = getattr(entry, "call", None)
            if call is None or call <= last:
                return None
            last = call
            strength, value = _checked(key, entry)
            layers.setdefault((call, strength), LoraLayer(strength, call=call)).patches[key] = value
    return [layers[at] for at in sorted(layers)]


def lora_layers(patches: Mapping[str, Sequence[Any]]) -> list[LoraLayer]:
    """In the order of application. UnservedPatch for what Luna cannot apply."""
    layers = _by_call(patches)
    if layers is not None:
        return layers
    # The n-th patch of every key, split by strength: each key keeps its order, and keys do not see
    # each other.
    stacked: dict[tuple[int, float], LoraLayer] = {}
    for key, entries in patches.items():
        for depth, entry in enumerate(entries):
            strength, value = _checked(key, entry)
            stacked.setdefault((depth, strength), LoraLayer(strength)).patches[key] = value
    return [stacked[at] for at in sorted(stacked)]
