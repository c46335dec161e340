"""What neither cut can do: Python code that runs inside the network, and models beside it.

Such a thing must not be left out in silence: it would give another picture. Each is named, with
what to do.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from comfy.patcher_extension import WrappersMP

ADVICE = (
    "set daemon_mode of the Luna Model Router to force_local for this workflow, "
    "or take the node away"
)


class UnservedByLuna(RuntimeError):
    """The workflow asks for something that only a local model can do."""

    def __init__(self, what: Iterable[str]) -> None:
        super().__init__(
            f"Luna's daemon cannot do what this workflow asks for: {'; '.join(what)}. "
            f"Either {ADVICE}."
        )


def _filled(mapping: Mapping[str, Any]) -> list[str]:
    return sorted(str(name) for name, value in mapping.items() if value)


def inside_network(transformer_options: Mapping[str, Any]) -> list[str]:
    """Names of the Python functions that would run inside the network (FreeU, IP-Adapter, token
    merging ...)."""
    found = [
        f"a function in '{name}' of the network's blocks"
        for name in _filled(transformer_options.get("patches", {}))
    ]
    found += [
        f"another attention '{name}'"
        for name in _filled(transformer_options.get("patches_replace", {}))
    ]
    if transformer_options.get("optimized_attention_override"):
        found.append("another attention function (optimized_attention_override)")
    wrappers = transformer_options.get("wrappers", {}).get(WrappersMP.DIFFUSION_MODEL, {})
    found += [f"a wrapper around the network ('{name}')" for name in _filled(wrappers)]
    if transformer_options.get("rope_options"):
        found.append("options of the positional embedding")
    return found


def of_patcher(patcher: Any) -> list[str]:
    """What was attached to the model itself."""
    found = [
        f"modules injected into the network ('{name}')" for name in _filled(patcher.injections)
    ]
    found += [
        f"a function on the weight {name}" for name in _filled(patcher.weight_wrapper_patches)
    ]
    found += [
        f"another module at '{name}'"
        for name in sorted(patcher.object_patches)
        if name.startswith("diffusion_model")
    ]
    return found


def of_conditioning(conds: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Models beside the network that its entries name."""
    words = {"control": "a ControlNet", "gligen": "GLIGEN"}
    return sorted(
        {
            text
            for entries in conds.values()
            for entry in entries
            for key, text in words.items()
            if entry.get(key) is not None
        }
    )


def refuse(found: Iterable[str]) -> None:
    found = list(found)
    if found:
        raise UnservedByLuna(found)
