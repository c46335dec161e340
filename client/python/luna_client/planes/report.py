"""What a client can say about its planes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Tensors that went by a plane, and their bytes."""

    tensors: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class PlaneReport:
    """Planes: "shm" (memory that both have mapped), "inline" (inside a message), "chunks"
    (beside the calls, in pieces), "cuda" (GPU memory of another process), "resident" (it was
    there already)."""

    #: What this session can use, best first.
    available: tuple[str, ...]
    #: Why it has no better one; "" when it has all that were asked for.
    reason: str
    sent: Mapping[str, Traffic]
    received: Mapping[str, Traffic]
    #: Single evaluations that went straight to a worker, and that went through the front.
    direct_steps: int = 0
    other_steps: int = 0
