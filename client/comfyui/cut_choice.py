"""Which part of a sampling the daemon does, decided for each run.

Cut B hands over the whole trajectory: one call, and rows of several ComfyUIs share forwards. It
needs everything that acts on the trajectory to be data. Cut A runs ComfyUI's own sampler here and
asks for single evaluations: it takes every sampler, guider and Python function around the network,
and costs a round trip a step. Both give ComfyUI's numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import luna_client

from .preview_callback import StepCallback
from .sampler_names import NamedSampler, named_sampler

# Of a sampling's model_options: what says nothing by itself.
_PLAIN_OPTIONS = frozenset({"transformer_options", "to_load_options"})
_PLAIN_TRANSFORMER_OPTIONS = frozenset({"wrappers", "callbacks", "patches", "patches_replace"})
# A guider that leaves these as they are (BasicGuider does) guides as CFGGuider.
_SAMPLING_METHODS = (
    "__call__",
    "outer_predict_noise",
    "predict_noise",
    "inner_sample",
    "outer_sample",
    "sample",
)
# Bookkeeping of comfy/sampler_helpers.py: convert_cond.
_OWN_KEYS = ("cross_attn", "uuid", "model_conds")


class StepByStep(Exception):
    """Cut A; the text is the reason, as it is shown."""


@dataclass(frozen=True)
class Trajectory:
    """Cut B: what the daemon is asked for, all of it data."""

    sampler: NamedSampler
    cfg: float
    seed: int
    positive: list[luna_client.ConditioningEntry]
    negative: list[luna_client.ConditioningEntry] | None
    callback: StepCallback


def _others(nested: Mapping[str, Mapping[str, Any]], own: str) -> list[str]:
    return sorted(
        f"{kind} of '{key or 'a pack'}'"
        for kind, by_key in nested.items()
        for key, functions in by_key.items()
        if functions and key != own
    )


def _check_options(model_options: Mapping[str, Any], own: str) -> None:
    extra = sorted(set(model_options) - _PLAIN_OPTIONS)
    if extra:
        raise StepByStep(f"the model has Python functions of other nodes ({', '.join(extra)})")
    transformer = model_options.get("transformer_options", {})
    for nested in (transformer.get("wrappers", {}), transformer.get("callbacks", {})):
        if others := _others(nested, own):
            raise StepByStep(
                f"other packs have put themselves around the sampling ({', '.join(others)})"
            )
    if extra := sorted(set(transformer) - _PLAIN_TRANSFORMER_OPTIONS):
        raise StepByStep(f"the model has options of other nodes ({', '.join(extra)})")


def entries(conds: list[dict[str, Any]]) -> list[luna_client.ConditioningEntry]:
    """A guider's list of conditioning as the daemon takes it."""
    made = []
    for cond in conds:
        if cond.get("model_conds"):
            raise StepByStep("a conditioning carries prepared inputs of the model")
        if "cross_attn" not in cond:
            raise StepByStep("a conditioning has no context")
        options = {key: value for key, value in cond.items() if key not in _OWN_KEYS}
        try:
            made.append(luna_client.conditioning.from_comfy([cond["cross_attn"], options]))
        except luna_client.InvalidRequest as unknown:
            raise StepByStep(str(unknown)) from None
    return made


def _check_guider(guider: Any) -> None:
    changed = [
        name
        for name in _SAMPLING_METHODS
        if getattr(type(guider), name, None) is not getattr(comfy.samplers.CFGGuider, name)
    ]
    if changed:
        raise StepByStep(
            f"the guider has code of its own ({type(guider).__name__}: {', '.join(changed)})"
        )
    if extra := sorted(set(guider.conds) - {"positive", "negative"}):
        raise StepByStep(
            f"the guider has more conditioning than positive and negative ({', '.join(extra)})"
        )


def choose(
    guider: Any, sampler: Any, sigmas: Any, callback: Any, seed: int | None, own: str
) -> Trajectory:
    """Raises StepByStep where the trajectory cannot be data. own: the key of Luna's wrapper."""
    _check_guider(guider)
    _check_options(guider.model_options, own)
    if changed := sorted(guider.model_patcher.object_patches):
        raise StepByStep(f"a node has changed how the model is sampled ({', '.join(changed)})")
    named = named_sampler(sampler)
    if isinstance(named, str):
        raise StepByStep(named)
    if seed is None:
        raise StepByStep("there is no seed")
    steps = StepCallback.of(callback)
    if steps is None:
        raise StepByStep("another pack watches the steps")
    if steps.wants_x0 and not (named.ends_at_x0 and float(sigmas[-1]) == 0):
        raise StepByStep(
            "a node takes the last step's x0 (denoised_output), which is not the result here"
        )
    negative = guider.conds.get("negative")
    return Trajectory(
        named,
        float(guider.cfg),
        seed,
        entries(guider.conds["positive"]),
        None if negative is None else entries(negative),
        steps,
    )
