"""The planes of one session."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from luna_client.errors import FailedPrecondition
from luna_client.options import PlaneChoice, TensorKind
from luna_client.planes.outgoing import Item
from luna_client.planes.report import PlaneReport, Traffic
from luna_client.runtime.runtime import Runtime
from luna_client.tensors import Tensor, byte_size, empty_over
from luna_client.v1 import sampling_pb2, session_pb2, tensor_pb2


class Lease(Protocol):
    """Memory lent to one call."""

    def release(self) -> None: ...


class Statistics:
    """Counts over all sessions of a client. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, Traffic] = {}
        self._received: dict[str, Traffic] = {}
        self._direct = 0
        self._other = 0

    def _count(self, traffic: dict[str, Traffic], plane: str, count: int) -> None:
        with self._lock:
            before = traffic.get(plane, Traffic())
            traffic[plane] = Traffic(before.tensors + 1, before.bytes + count)

    def sent(self, plane: str, count: int) -> None:
        self._count(self._sent, plane, count)

    def received(self, plane: str, count: int) -> None:
        self._count(self._received, plane, count)

    def step(self, direct: bool) -> None:
        with self._lock:
            self._direct += direct
            self._other += not direct

    def report(self, planes: Planes | None) -> PlaneReport:
        with self._lock:
            return PlaneReport(planes.available if planes else (), planes.reason if planes else "no session",
                               dict(self._sent), dict(self._received), self._direct, self._other)


class Planes:
    """Chooses a place for each tensor that goes out, and takes what comes in."""

    def __init__(self, choice: PlaneChoice, runtime: Runtime, statistics: Statistics) -> None:
        self._choice = choice
        self._runtime = runtime
        self.statistics = statistics
        self.available: tuple[str, ...] = ("inline",)
        self.reason = ""

    @property
    def shared(self) -> bool:
        """Large results come as regions."""
        return "shm" in self.available

    async def open(self, welcome: session_pb2.SessionWelcome, address: str) -> None:
        """Agrees with the daemon on the planes. FailedPrecondition where the one that was asked for is not to be had."""
        if self._choice in ("shm", "cuda"):
            raise FailedPrecondition(f"the plane '{self._choice}' was asked for, and lunad at {address} does not offer "
                                     "it; connect with plane=\"auto\"")

    async def place(self, item: Item) -> Lease | None:
        """Names a place in memory that both have mapped; None: the tensor has to travel."""
        return None

    async def take(self, region: tensor_pb2.SharedRegion, count: int, kind: TensorKind) -> Any:
        """The memory of a result."""
        raise FailedPrecondition("a result came as a region in a session without the plane shm")

    async def step(self, workflow_id: str,
                   request: sampling_pb2.DenoiseRequest) -> sampling_pb2.DenoiseResponse | None:
        """A single evaluation straight from a worker; None: ask the front."""
        self.statistics.step(direct=False)
        return None

    async def empty(self, shape: Sequence[int], dtype: str, kind: TensorKind) -> Tensor:
        """A writable array, in a region where there are such."""
        return empty_over(dtype, shape, np.empty(byte_size(dtype, shape), np.uint8), kind)

    def close(self) -> None:
        """Regions end with the session."""
