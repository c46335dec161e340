"""Memory that two processes may map without fear."""

import fcntl
import os

import numpy as np
import pytest

import luna_client
from luna_client.planes.memory import Memory, map_received, sealed


def test_own_memory_can_be_written_and_not_be_shrunk():
    memory = Memory(4096)
    memory.write(np.arange(16, dtype=np.uint8))
    assert os.pread(memory.fd, 16, 0) == bytes(range(16))
    with pytest.raises(OSError):
        os.ftruncate(memory.fd, 0)
    memory.close_descriptor()


def test_a_sealed_copy_changes_no_more():
    fd, size = sealed(b"forever")
    assert size == 7
    with pytest.raises(OSError):
        os.pwrite(fd, b"x", 0)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
    os.close(fd)


def test_received_memory_keeps_its_array_alive_after_the_descriptor_is_gone():
    fd, _ = sealed(np.arange(1000, dtype=np.uint8) % 251)
    array = np.frombuffer(memoryview(map_received(fd, writable=False))[10:20], np.uint8)
    assert list(array) == list(range(10, 20))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(OSError):
        os.fstat(fd)


def test_what_torch_writes_into_a_result_stays_its_own():
    fd, _ = sealed(b"\0" * 4096)
    again = os.dup(fd)
    mine = map_received(fd, writable=True)
    mine[0] = 7
    assert os.pread(again, 1, 0) == b"\0"
    os.close(again)


def test_memory_that_the_peer_could_shrink_is_not_mapped():
    fd = os.memfd_create("shrinks", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    with pytest.raises(luna_client.FailedPrecondition, match="sealed against shrinking"):
        map_received(fd, writable=False)


def test_a_pipe_is_no_memory():
    read, write = os.pipe()
    with pytest.raises(luna_client.FailedPrecondition, match="no memory"):
        map_received(read, writable=False)
    os.close(write)


def test_a_part_keeps_the_mapping_when_the_memory_object_is_gone():
    memory = Memory(8192)
    memory.write(np.full(8192, 5, np.uint8))
    array = np.frombuffer(memory.part(100), np.uint8)
    memory.close_descriptor()
    del memory
    assert array.sum() == 500
