"""Registered memory that is used again and again: its pages are there, so a tensor's way into it
is one copy at the speed of memory. One block holds one tensor."""

from __future__ import annotations

import bisect
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from luna_client.errors import ResourceExhausted
from luna_client.planes.memory import Memory

SMALLEST_BLOCK = 128 << 10
#: From here on blocks grow by steps, not by doubling.
STEP = 16 << 20
MAX_BYTES = 1 << 30


def block_size(size: int) -> int:
    """Of the block for a tensor of `size` bytes."""
    if size <= SMALLEST_BLOCK:
        return SMALLEST_BLOCK
    if size <= STEP:
        return 1 << (size - 1).bit_length()
    return (size + STEP - 1) // STEP * STEP


@dataclass(eq=False)
class Block:
    """A region of its own."""

    memory: Memory
    region_id: str


class Arena:
    """Thread-safe; blocks may come back from finalizers.

    register: makes a region of (descriptor, size) and gives its id. release: ends regions."""

    def __init__(
        self,
        register: Callable[[int, int], str],
        release: Callable[[list[str]], None],
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._register = register
        self._release = release
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._idle: deque[Block] = deque()  # the one that was used last first
        self._returned: deque[Block] = deque()
        self._addresses: list[tuple[int, Block]] = []

    def take(self, size: int) -> Block:
        """ResourceExhausted when the arena or the session has no room."""
        wanted = block_size(size)
        with self._lock:
            self._collect()
            for block in self._idle:
                if wanted <= block.memory.size <= 2 * wanted:
                    self._idle.remove(block)
                    return block
            self._make_room(wanted)
            self._bytes += wanted
        try:
            memory = Memory(wanted, "luna-arena")
            try:
                block = Block(memory, self._register(memory.fd, wanted))
            finally:
                memory.close_descriptor()
        except BaseException:
            with self._lock:
                self._bytes -= wanted
            raise
        with self._lock:
            bisect.insort(self._addresses, (memory.address, block), key=lambda entry: entry[0])
        return block

    def give_back(self, block: Block) -> None:
        """May be called from a finalizer."""
        self._returned.append(block)

    def lend(self, size: int) -> Any:
        """A writable buffer in a block of its own, which comes back when nothing refers to the
        buffer any more."""
        block = self.take(size)
        part = block.memory.part(size)
        weakref.finalize(part, self.give_back, block).atexit = False
        return part

    def find(self, address: int, size: int) -> tuple[str, int] | None:
        """(region id, offset) of bytes that lie in a block."""
        with self._lock:
            at = bisect.bisect_right(self._addresses, address, key=lambda entry: entry[0]) - 1
            if at < 0:
                return None
            start, block = self._addresses[at]
            inside = address + size <= start + block.memory.size
            return (block.region_id, address - start) if inside else None

    def _collect(self) -> None:
        while self._returned:
            self._idle.appendleft(self._returned.popleft())

    def _make_room(self, wanted: int) -> None:
        """Ends the blocks that were idle for the longest time."""
        ended = []
        while self._bytes + wanted > self._max_bytes and self._idle:
            block = self._idle.pop()
            self._bytes -= block.memory.size
            self._addresses = [entry for entry in self._addresses if entry[1] is not block]
            ended.append(block.region_id)
        if ended:
            self._release(ended)
        if self._bytes + wanted > self._max_bytes:
            raise ResourceExhausted(
                f"{self._bytes} of {self._max_bytes} bytes of this client's shared memory are in "
                f"use; {wanted} more are wanted"
            )
