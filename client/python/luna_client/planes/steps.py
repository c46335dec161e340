"""Sockets straight to workers, for single evaluations without the front in between (OpenSteps in
local.proto). What travels are the messages of Primitives.Denoise; the bits are the same."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from luna_client.errors import DeadlineExceeded, LunaError, Unavailable
from luna_client.options import Priority
from luna_client.planes.local_socket import LocalSocket
from luna_client.planes.memory import Memory, map_received, sealed
from luna_client.planes.outgoing import Item, Outgoing
from luna_client.tensors import byte_size
from luna_client.v1 import local_pb2, sampling_pb2, tensor_pb2

_ALIGNMENT = 64
_SMALLEST_MEMORY = 64 << 10
_MOST_CONSTANTS = 128
_MOST_BYTES = 256 << 20
_MOST_SOCKETS = 8
#: How long a workflow for which there is no socket goes through the front.
_PAUSE_SECONDS = 5.0
_ATTEMPTS = 2


def _aligned(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


@dataclass
class _Constant:
    """Bytes that came at this address before: conditioning is named again at every step. In
    sealed memory the worker keeps what it made of them."""

    region_id: str = ""
    content: np.ndarray[Any, Any] | None = None


class StepSocket:
    """One evaluation at a time. Its memory holds the latents on their way there and back."""

    def __init__(self, sock: socket.socket, workflow_id: str, lora_files: frozenset[str]) -> None:
        self.workflow_id = workflow_id
        self.lora_files = lora_files
        self._local = LocalSocket(sock)
        self._socket = sock
        self._memory: Memory | None = None
        self._region_id = ""
        self._constants: OrderedDict[tuple[int, int], _Constant] = OrderedDict()

    @property
    def alive(self) -> bool:
        return self._local.alive

    def stop(self) -> None:
        """From any thread: ends what runs, on the worker too."""
        self._local.alive = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._local.close()

    def denoise(
        self,
        request: sampling_pb2.DenoiseRequest,
        outgoing: Outgoing,
        priority: Priority,
        timeout: float | None,
    ) -> sampling_pb2.DenoiseResponse:
        """The response; its tensors lie in this process's memory, inline. What worker and socket
        refuse is raised as gRPC's."""
        results = self._place(request, outgoing)
        step = local_pb2.DenoiseStep(
            request=request, priority=priority, timeout_us=int((timeout or 0) * 1e6)
        )
        for at, _ in results:
            step.into.add(region_id=self._region_id, offset=at)
        self._socket.settimeout(None if timeout is None else timeout + 1)
        response = self._local.ask(local_pb2.LocalRequest(denoise=step))[0].denoised
        assert self._memory is not None
        for ref, (at, size) in zip(response.denoised, results, strict=True):
            ref.inline = self._memory.read(at, size)
        return response

    def _place(
        self, request: sampling_pb2.DenoiseRequest, outgoing: Outgoing
    ) -> list[tuple[int, int]]:
        """Where each result will lie, (offset, bytes); names a place for every tensor."""
        end = 0
        copied: list[tuple[Item, int]] = []
        for item in outgoing.items:
            if item.host.data.nbytes == 0:
                continue
            region_id = "" if item.name.endswith("].x") else self._constant_of(item)
            if region_id:
                item.ref.region.CopyFrom(tensor_pb2.SharedRegion(region_id=region_id))
            else:
                copied.append((item, end))
                end = _aligned(end + item.host.data.nbytes)
        results = []
        for row in request.rows:
            size = byte_size("f32", row.x.spec.shape)
            results.append((end, size))
            end = _aligned(end + size)
        self._make_room(end)
        assert self._memory is not None
        for item, at in copied:
            self._memory.write(item.host.data, at)
            place = tensor_pb2.SharedRegion(region_id=self._region_id, offset=at)
            item.ref.region.CopyFrom(place)
        return results

    def _make_room(self, size: int) -> None:
        if self._memory is not None and self._memory.size >= size:
            return
        if self._region_id:
            self._local.release([self._region_id])
        memory = Memory(1 << (max(size, _SMALLEST_MEMORY) - 1).bit_length(), "luna-step")
        try:
            self._region_id = self._local.register(memory.fd, memory.size)
        finally:
            memory.close_descriptor()
        self._memory = memory

    def _constant_of(self, item: Item) -> str:
        """The region of bytes that lay here before; "" at their first time. An address says
        nothing of values, so they are compared."""
        data = item.host.data
        key = (item.host.address, data.nbytes)
        known = self._constants.pop(key, None)
        if known is None:
            while len(self._constants) >= _MOST_CONSTANTS:
                self._forget(self._constants.popitem(last=False)[1])
            known = _Constant()
        elif known.content is None:
            known = self._sealed_copy(data)
        elif not np.array_equal(known.content, data):
            self._forget(known)
            known = _Constant()
        self._constants[key] = known
        return known.region_id

    def _sealed_copy(self, data: np.ndarray[Any, Any]) -> _Constant:
        fd, size = sealed(data, "luna-step")
        try:
            region_id = self._local.register(fd, size)
            return _Constant(region_id, np.frombuffer(map_received(os.dup(fd), False), np.uint8))
        finally:
            os.close(fd)

    def _forget(self, constant: _Constant) -> None:
        if constant.region_id:
            self._local.release([constant.region_id])


class StepPool:
    """The step sockets of a session. Thread-safe; as many evaluations at once as sockets."""

    def __init__(self, local: LocalSocket) -> None:
        self._local = local
        self._lock = threading.Lock()
        self._idle: list[StepSocket] = []
        self._open = 0
        self._paused: dict[str, float] = {}
        #: Why the last one could not be had.
        self.reason = ""

    @staticmethod
    def takes(request: sampling_pb2.DenoiseRequest, outgoing: Outgoing) -> bool:
        """Whether it can go over a socket at all."""
        size = sum(item.host.data.nbytes for item in outgoing.items)
        return not request.keep and not outgoing.residents and size < _MOST_BYTES

    def take(self, workflow_id: str, lora_files: frozenset[str]) -> StepSocket | None:
        """One for these files; None: go through the front."""
        surplus = None
        with self._lock:
            if self._paused.get(workflow_id, 0) > time.monotonic():
                return None
            for step in self._idle:
                if step.workflow_id == workflow_id and step.lora_files >= lora_files:
                    self._idle.remove(step)
                    return step
            # One of the workflow that lacks a file makes place for one that has all.
            lacking = [step for step in self._idle if step.workflow_id == workflow_id]
            if lacking or (self._open >= _MOST_SOCKETS and self._idle):
                surplus = (lacking or self._idle)[0]
                self._idle.remove(surplus)
                self._open -= 1
            if self._open >= _MOST_SOCKETS:
                return None
            self._open += 1
        if surplus is not None:
            surplus.close()
            if surplus.workflow_id == workflow_id:
                lora_files |= surplus.lora_files
        try:
            return StepSocket(
                self._local.open_steps(workflow_id, lora_files), workflow_id, lora_files
            )
        except (OSError, LunaError) as error:
            with self._lock:
                self._open -= 1
                self._paused[workflow_id] = time.monotonic() + _PAUSE_SECONDS
                self.reason = str(error)
            return None

    def give_back(self, step: StepSocket) -> None:
        with self._lock:
            if step.alive:
                self._idle.append(step)
                return
            self._open -= 1
        step.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for step in idle:
            step.close()


class StepCall:
    """One evaluation over a pool. stop() may come from any thread."""

    def __init__(
        self,
        pool: StepPool,
        workflow_id: str,
        request: sampling_pb2.DenoiseRequest,
        outgoing: Outgoing,
        priority: Priority,
    ) -> None:
        self._pool = pool
        self._workflow_id = workflow_id
        self._request = request
        self._outgoing = outgoing
        self._priority = priority
        self._lora_files = frozenset(lora.file for row in request.rows for lora in row.loras)
        self._current: StepSocket | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if (current := self._current) is not None:
            current.stop()

    def run(self, timeout: float | None) -> sampling_pb2.DenoiseResponse | None:
        """The response; None: no worker's socket could be had, or they ended. What a worker
        refuses is raised."""
        end = None if timeout is None else time.monotonic() + timeout
        for _ in range(_ATTEMPTS):
            step = self._pool.take(self._workflow_id, self._lora_files)
            if step is None:
                return None
            self._current = step
            try:
                if self._stopped:
                    return None
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise DeadlineExceeded("the timeout passed before the call was made")
                return step.denoise(self._request, self._outgoing, self._priority, left)
            except Unavailable:
                step.stop()  # a worker that goes says UNAVAILABLE, or nothing
                if self._stopped:
                    return None
            except BaseException as error:
                if not isinstance(error, LunaError):
                    step.stop()
                raise
            finally:
                self._current = None
                self._pool.give_back(step)
        return None
