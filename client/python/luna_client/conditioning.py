"""Conditioning: typed entries, and ComfyUI's lists [[tensor, {...}], ...] both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from luna_client.errors import InvalidRequest

if TYPE_CHECKING:
    from luna_client.tensors import TensorInput


@dataclass(frozen=True)
class Area:
    """Part of the picture: latent cells, or with `fractional` shares of the latent's size."""

    height: float
    width: float
    y: float = 0
    x: float = 0
    fractional: bool = False


@dataclass(frozen=True)
class ConditioningEntry:
    """A context and what stands beside it; None is ComfyUI's default."""

    #: [1, tokens, width]
    cross_attn: TensorInput
    #: [1, width]
    pooled: TensorInput | None = None
    #: [1, tokens]
    attention_mask: TensorInput | None = None
    strength: float | None = None
    area: Area | None = None
    #: [n, H, W] in 0..1, of any size.
    mask: TensorInput | None = None
    mask_strength: float | None = None
    set_area_to_bounds: bool = False
    start_percent: float | None = None
    end_percent: float | None = None
    #: Fills what no other entry covers.
    is_default: bool = False
    #: Embedded guidance (Flux).
    guidance: float | None = None
    #: width, height, crop_w, crop_h, target_width, target_height, aesthetic_score, ...
    numbers: Mapping[str, float] = field(default_factory=dict)
    #: concat_latent_image, concat_mask, ...
    extras: Mapping[str, TensorInput] = field(default_factory=dict)


class Conditioning(Sequence[ConditioningEntry]):
    """A list of entries, as text encoding makes it."""

    def __init__(
        self,
        entries: Sequence[ConditioningEntry],
        warnings: Sequence[str] = (),
        planes: Sequence[str] = (),
    ) -> None:
        self.entries = list(entries)
        #: Textual inversions that were not found.
        self.warnings = list(warnings)
        #: The plane by which context and pooled came.
        self.planes = list(planes)

    def __getitem__(self, index: Any) -> Any:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ConditioningEntry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        return f"Conditioning({self.entries!r})"

    def to_comfy(self) -> list[list[Any]]:
        """ComfyUI's [[tensor, {"pooled_output": ...}], ...]."""
        return [to_comfy(entry) for entry in self.entries]


#: Typed entries, or ComfyUI's list. One entry alone counts as a list of one.
ConditioningLike: TypeAlias = Conditioning | ConditioningEntry | Sequence[Any]

_NUMBERS = (
    "width",
    "height",
    "crop_w",
    "crop_h",
    "target_width",
    "target_height",
    "aesthetic_score",
)
_EXTRAS = ("concat_latent_image", "concat_mask")
#: Of ComfyUI's own bookkeeping: says nothing about the picture when it is None or empty.
_HARMLESS = ("clip_start_percent", "clip_end_percent", "hooks", "control", "gligen", "model_conds")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _area_of(value: Any) -> Area:
    parts = tuple(value)
    fractional = bool(parts) and parts[0] == "percentage"
    if fractional:
        parts = parts[1:]
    if len(parts) != 4:
        raise InvalidRequest(
            f"conditioning 'area': expected (height, width, y, x), with \"percentage\" before it "
            f"for shares, found {value!r}"
        )
    height, width, y, x = (float(part) for part in parts)
    return Area(height, width, y, x, fractional)


def from_comfy(pair: Sequence[Any]) -> ConditioningEntry:
    """An entry of ComfyUI's list, [tensor, dict]. InvalidRequest names a key that the server
    cannot follow (control nets, hooks, gligen): it would give another picture in silence."""
    if len(pair) != 2 or not isinstance(pair[1], Mapping):
        raise InvalidRequest(
            f"conditioning: expected [tensor, dict], found {type(pair).__name__} of {len(pair)}"
        )
    context, options = pair
    known: dict[str, Any] = {}
    numbers: dict[str, float] = {}
    extras: dict[str, Any] = {}
    for key, value in options.items():
        if value is None or (key in _HARMLESS and not isinstance(value, float) and not value):
            continue
        if key == "pooled_output":
            known["pooled"] = value
        elif key == "default":
            known["is_default"] = bool(value)
        elif key == "area":
            known["area"] = _area_of(value)
        elif key == "set_area_to_bounds":
            known["set_area_to_bounds"] = bool(value)
        elif key in ("strength", "mask_strength", "start_percent", "end_percent", "guidance"):
            known[key] = float(value)
        elif key in ("mask", "attention_mask"):
            known[key] = value
        elif key in _NUMBERS:
            numbers[key] = float(value)
        elif key in _EXTRAS:
            extras[key] = value
        else:
            raise InvalidRequest(
                f"conditioning key '{key}' is not served by Luna; sample with this entry locally, "
                "or take it out"
            )
    return ConditioningEntry(context, numbers=numbers, extras=extras, **known)


def to_comfy(entry: ConditioningEntry) -> list[Any]:
    """The other way round: [tensor, dict]."""
    options: dict[str, Any] = {**entry.numbers, **entry.extras}
    if entry.pooled is not None:
        options["pooled_output"] = entry.pooled
    for key in (
        "attention_mask",
        "strength",
        "mask",
        "mask_strength",
        "start_percent",
        "end_percent",
        "guidance",
    ):
        if (value := getattr(entry, key)) is not None:
            options[key] = value
    if entry.set_area_to_bounds or entry.mask is not None:
        options["set_area_to_bounds"] = entry.set_area_to_bounds
    if entry.is_default:
        options["default"] = True
    if (area := entry.area) is not None:
        sides = (area.height, area.width, area.y, area.x)
        options["area"] = (
            ("percentage", *sides) if area.fractional else tuple(int(side) for side in sides)
        )
    return [entry.cross_attn, options]


def entries_of(conditioning: ConditioningLike) -> list[ConditioningEntry]:
    """The entries of whatever form was given."""
    if isinstance(conditioning, ConditioningEntry):
        return [conditioning]
    if isinstance(conditioning, Conditioning):
        return conditioning.entries
    if _is_tensor(conditioning) or isinstance(conditioning, (str, bytes, Mapping)):
        raise InvalidRequest(
            f"conditioning: expected entries or ComfyUI's [[tensor, dict], ...], found "
            f"{type(conditioning).__name__}; encode text with clip_encode() first"
        )
    return [
        entry if isinstance(entry, ConditioningEntry) else from_comfy(entry)
        for entry in conditioning
    ]
