"""The planes of one session."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import Protocol

from luna_client.errors import (
    Cancelled,
    FailedPrecondition,
    InternalError,
    LunaError,
    ResourceExhausted,
    Unavailable,
)
from luna_client.options import Cancel, PlaneChoice, Priority, TensorKind
from luna_client.planes.arena import Arena, Block
from luna_client.planes.local_socket import LocalSocket, connect
from luna_client.planes.memory import map_received, sealed
from luna_client.planes.outgoing import Item, Outgoing
from luna_client.planes.report import PlaneReport, Traffic
from luna_client.planes.steps import StepCall, StepPool
from luna_client.runtime.runtime import Runtime
from luna_client.tensors import HostBytes, Tensor, byte_size, empty_over
from luna_client.v1 import sampling_pb2, session_pb2, tensor_pb2

#: Smaller tensors are faster inside the message.
REGION_BYTES = 64 << 10
_log = logging.getLogger("luna_client")


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
            return PlaneReport(
                planes.available if planes else (),
                planes.reason if planes else "no session",
                dict(self._sent),
                dict(self._received),
                self._direct,
                self._other,
            )


class _Lent:
    """A block for the time of one call."""

    def __init__(self, arena: Arena, block: Block) -> None:
        self._arena = arena
        self._block = block

    def release(self) -> None:
        self._arena.give_back(self._block)


class _Owned:
    """Memory of the caller."""

    def release(self) -> None:
        return


class Planes:
    """Chooses a place for each tensor that goes out, and takes what comes in."""

    def __init__(self, choice: PlaneChoice, runtime: Runtime, statistics: Statistics) -> None:
        self._choice = choice
        self._runtime = runtime
        self.statistics = statistics
        self.available: tuple[str, ...] = ("inline",)
        self.reason = ""
        self._local: LocalSocket | None = None
        self._arena: Arena | None = None
        self._steps: StepPool | None = None
        self._steps_told = False

    @property
    def shared(self) -> bool:
        """Large results come as regions."""
        return self._local is not None and self._local.alive

    async def open(self, welcome: session_pb2.SessionWelcome, address: str, timeout: float) -> None:
        """Agrees with the daemon on the planes. FailedPrecondition where the one that was asked
        for is not to be had."""
        if self._choice == "inline":
            self.reason = 'plane="inline" was asked for'
            return
        if not welcome.local_socket.path:
            self.reason = (
                f"lunad at {address} offers no local socket (another host, or [limits] "
                "regions_per_session = 0)"
            )
            _log.info("tensors travel inside the calls: %s", self.reason)
        else:
            try:
                await self._runtime.run(self._attach, welcome.local_socket, timeout)
            except (OSError, LunaError) as error:
                self.reason = f"the local socket {welcome.local_socket.path}: {error}"
                _log.warning("tensors travel inside the calls: %s", self.reason)
        if self._choice != "auto" and self._choice not in self.available:
            raise FailedPrecondition(
                f"the plane '{self._choice}' was asked for and is not to be had: "
                f'{self.reason or "the daemon does not offer it"}; connect with plane="auto"'
            )

    def _attach(self, named: session_pb2.LocalSocket, timeout: float) -> None:
        local = connect(named.path, timeout)
        try:
            planes = local.introduce(named.token)
        except BaseException:
            local.close()
            raise
        self._local = local
        self._arena = Arena(local.register, local.release)
        self._steps = StepPool(local)
        self.available = tuple(planes)

    async def place(self, item: Item) -> Lease | None:
        """Names a place in memory that both have mapped; None: the tensor has to travel."""
        arena, size = self._arena, item.host.data.nbytes
        if arena is None or not self.shared:
            return None
        if (found := arena.find(item.host.address, size)) is not None:
            _name(item.ref, *found)
            self.statistics.sent("shm", size)
            return _Owned()
        if size <= REGION_BYTES:
            return None
        try:
            block = await self._runtime.run(_copied, arena, item)
        except (ResourceExhausted, Unavailable) as error:
            if not self.reason:
                self.reason = str(error)
                _log.warning("a tensor of %d bytes travels inside its call: %s", size, error)
            return None
        _name(item.ref, block.region_id, 0)
        self.statistics.sent("shm", size)
        return _Lent(arena, block)

    async def take(
        self, region: tensor_pb2.SharedRegion, count: int, kind: TensorKind
    ) -> memoryview:
        """The memory of a result. For torch it may be written: the pages are this process's own
        then."""
        if self._local is None:
            raise InternalError("a result came as a region in a session without the plane shm")
        return await self._runtime.run(_taken, self._local, region, count, kind == "torch")

    async def seal(self, host: HostBytes) -> tensor_pb2.SharedRegion | None:
        """A region with a copy that never changes, for a resident tensor; None: it has to
        travel. release() ends it."""
        local = self._local
        if local is None or not self.shared or host.data.nbytes <= REGION_BYTES:
            return None
        try:
            return await self._runtime.run(_sealed_region, local, host)
        except (ResourceExhausted, Unavailable):
            return None

    async def release(self, region: tensor_pb2.SharedRegion) -> None:
        """The daemon forgets it."""
        if self._local is not None and self.shared:
            await self._runtime.run(self._local.release, [region.region_id])

    async def step(
        self,
        workflow_id: str,
        request: sampling_pb2.DenoiseRequest,
        outgoing: Outgoing,
        priority: Priority,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> sampling_pb2.DenoiseResponse | None:
        """A single evaluation straight from a worker; None: ask the front."""
        response = None
        if self._steps is not None and self.shared and StepPool.takes(request, outgoing):
            call = StepCall(self._steps, workflow_id, request, outgoing, priority)
            forget = cancel.watch(call.stop) if cancel else None
            try:
                response = await self._runtime.run(call.run, timeout)
            except BaseException:
                call.stop()
                raise
            finally:
                if forget:
                    forget()
            if cancel and cancel.cancelled:
                raise Cancelled("the call was cancelled")
            if response is None and self._steps.reason and not self._steps_told:
                self._steps_told = True
                _log.info("evaluations go through the front: %s", self._steps.reason)
        self.statistics.step(direct=response is not None)
        if response is not None:
            for item in outgoing.items:
                self.statistics.sent("step", item.host.data.nbytes)
        return response

    async def empty(self, shape: Sequence[int], dtype: str, kind: TensorKind) -> Tensor:
        """A writable array, in a region where there are such."""
        size = byte_size(dtype, shape)
        if self._arena is not None and self.shared and size > 0:
            try:
                return empty_over(
                    dtype, shape, await self._runtime.run(self._arena.lend, size), kind
                )
            except (ResourceExhausted, Unavailable) as error:
                _log.warning("an array of %d bytes lies in ordinary memory: %s", size, error)
        return empty_over(dtype, shape, bytearray(size), kind)

    def close(self) -> None:
        """Regions end with the session."""
        if self._steps is not None:
            self._steps.close()
        if self._local is not None:
            self._local.close()


def _name(ref: tensor_pb2.TensorRef, region_id: str, offset: int) -> None:
    ref.region.region_id = region_id
    ref.region.offset = offset


def _copied(arena: Arena, item: Item) -> Block:
    block = arena.take(item.host.data.nbytes)
    block.memory.write(item.host.data)
    return block


def _taken(
    local: LocalSocket, region: tensor_pb2.SharedRegion, count: int, writable: bool
) -> memoryview:
    memory = memoryview(map_received(local.take(region.region_id), writable))
    if region.offset + count > len(memory):
        raise InternalError(
            f"a result of {count} bytes from {region.offset} on, in a region of {len(memory)}"
        )
    return memory[region.offset : region.offset + count]


def _sealed_region(local: LocalSocket, host: HostBytes) -> tensor_pb2.SharedRegion:
    fd, size = sealed(host.data, "luna-upload")
    try:
        return tensor_pb2.SharedRegion(region_id=local.register(fd, size))
    finally:
        os.close(fd)
