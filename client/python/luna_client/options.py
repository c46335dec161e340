"""What every call takes beside its arguments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

Priority: TypeAlias = Literal["interactive", "normal", "bulk"]
PlaneChoice: TypeAlias = Literal["auto", "inline", "shm", "cuda"]
TensorKind: TypeAlias = Literal["numpy", "torch"]


class Cancel:
    """Ends calls early, from any thread: `luna.sample(..., cancel=cancel)`, elsewhere
    `cancel()`. The call raises Cancelled then, and the server stops between two evaluations. One
    object may stand for several calls, and stays cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._actions: dict[int, Callable[[], object]] = {}
        self._next = 0

    def __call__(self) -> None:
        with self._lock:
            self._cancelled = True
            actions = list(self._actions.values())
            self._actions.clear()
        for action in actions:
            action()

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def watch(self, action: Callable[[], object]) -> Callable[[], None]:
        """Has `action` called at the cancel, at once when it was before. Returns what takes it
        back."""
        with self._lock:
            self._next += 1
            key = self._next
            if not self._cancelled:
                self._actions[key] = action
                return lambda: self._forget(key)
        action()
        return lambda: None

    def _forget(self, key: int) -> None:
        with self._lock:
            self._actions.pop(key, None)
