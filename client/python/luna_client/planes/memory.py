"""Memory with a descriptor that nobody can make smaller, so that both ends of a socket may map
it without fear."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import sys
from typing import Any

import numpy as np

from luna_client.errors import FailedPrecondition, ResourceExhausted

_MAP_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


class Memory:
    """An own memfd, mapped writable. The mapping lives as long as what was made over `part()`."""

    def __init__(self, size: int, name: str = "luna-python") -> None:
        self.size = size
        try:
            self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(self.fd, size)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self._map = mmap.mmap(
                self.fd,
                size,
                flags=mmap.MAP_SHARED,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
                **_MAP_OPTIONS,
            )
        except (OSError, ValueError) as error:
            raise ResourceExhausted(f"{size} bytes of shared memory: {error}") from error
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def write(self, data: np.ndarray[Any, Any], at: int = 0) -> None:
        """Bytes from `at` on."""
        np.frombuffer(self._map, np.uint8, data.nbytes, at)[:] = data

    def read(self, at: int, size: int) -> bytes:
        """A copy."""
        return self._map[at : at + size]

    def part(self, size: int) -> Any:
        """The first bytes, as an object of their own that a finalizer can watch: arrays over it
        keep it alive."""
        return (ctypes.c_ubyte * size).from_buffer(self._map)

    def close_descriptor(self) -> None:
        """The mapping stays."""
        os.close(self.fd)
        self.fd = -1


def sealed(data: bytes | np.ndarray[Any, Any], name: str = "luna-python") -> tuple[int, int]:
    """(descriptor, size) of a copy that nobody can change any more. The caller closes it."""
    content = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    memory = Memory(content.nbytes, name)
    memory.write(content)
    fd = memory.fd
    del memory  # a writable mapping stands in the way of the seal
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
    return fd, content.nbytes


def map_received(fd: int, writable: bool) -> mmap.mmap:
    """Maps all of a descriptor that another process sent, and closes it. writable: what this
    process writes stays its own. FailedPrecondition unless nobody can shrink it: reading would
    end in SIGBUS then."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        if not seals & fcntl.F_SEAL_SHRINK:
            raise FailedPrecondition(
                f"expected memory that is sealed against shrinking, found seals {seals:#x}"
            )
        # A private mapping: kernels before 6.7 allow no other of write-sealed memory.
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return mmap.mmap(
            fd, os.fstat(fd).st_size, flags=mmap.MAP_PRIVATE, prot=protection, **_MAP_OPTIONS
        )
    except OSError as error:
        raise FailedPrecondition(
            f"a descriptor from the daemon is no memory that may be mapped ({error})"
        ) from error
    finally:
        os.close(fd)
