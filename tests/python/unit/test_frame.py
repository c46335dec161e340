"""Frames of a local socket, byte for byte as common/local lays them out."""

import os
import socket
import struct
import threading

import pytest

import luna_client
from luna_client.planes import frame
from luna_client.planes.memory import sealed

#: What FrameChannel (C++) sends: version 1, message 1, body "abc", an attachment of 16 bytes by
#: descriptor.
RECORDED = (
    bytes.fromhex(
        "4c554e41"
        "0100"
        "0100"
        "00000000"
        "03000000"
        "00000000"
        "01000000"
        "01000000"
        "00000000"
        "00000000"
        "0000000000000000"
        "1000000000000000"
    )
    + b"abc"
)


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_the_layout_is_that_of_the_cpp_side():
    assert frame.encode(1, 1, b"abc", [(9, 16)]) == RECORDED


def test_a_frame_arrives_with_its_descriptors(ends):
    fd, size = sealed(b"0123456789abcdef")
    frame.send(ends[0], 1, 2, b"body", [(fd, size)])
    os.close(fd)
    came = frame.receive(ends[1], 1)
    assert (came.message, came.body, came.table) == (2, b"body", [(0, 0, 16)])
    assert os.pread(came.descriptors[0], 16, 0) == b"0123456789abcdef"
    assert not os.get_inheritable(came.descriptors[0])
    os.close(came.descriptors[0])


def test_frames_follow_each_other_and_come_in_any_pieces(ends):
    data = frame.encode(1, 1, b"x" * 70_000) + frame.encode(1, 2, b"")
    sender = threading.Thread(
        target=lambda: [ends[0].sendall(data[at : at + 9973]) for at in range(0, len(data), 9973)]
    )
    sender.start()
    assert frame.receive(ends[1], 1).body == b"x" * 70_000
    assert frame.receive(ends[1], 1).message == 2
    sender.join()


def test_the_peers_end_is_unavailable_whether_between_frames_or_within(ends):
    ends[0].send(frame.encode(1, 1, b"whole") + frame.encode(1, 1, b"half")[:-2])
    ends[0].close()
    frame.receive(ends[1], 1)
    with pytest.raises(luna_client.Unavailable, match="middle"):
        frame.receive(ends[1], 1)
    with pytest.raises(luna_client.Unavailable, match="ended"):
        frame.receive(ends[1], 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda head: b"XXXX" + head[4:], "INTERNAL"),
        (lambda head: head[:4] + struct.pack("<H", 2) + head[6:], "FAILED_PRECONDITION"),
        (lambda head: head[:8] + struct.pack("<I", 1) + head[12:], "INTERNAL"),
        (lambda head: head[:12] + struct.pack("<I", (16 << 20) + 1) + head[16:], "INTERNAL"),
        (lambda head: head[:16] + struct.pack("<I", (64 << 20) + 1) + head[20:], "INTERNAL"),
        (lambda head: head[:24] + struct.pack("<I", 1) + head[28:], "INTERNAL"),
    ],
)
def test_what_is_no_frame_is_refused_before_its_lengths_are_believed(ends, change, code):
    ends[0].send(change(frame.encode(1, 1, b"")))
    with pytest.raises(luna_client.LunaError) as caught:
        frame.receive(ends[1], 1)
    assert caught.value.code == code


def test_a_table_that_points_outside_is_refused_and_no_descriptor_leaks(ends):
    fd, _ = sealed(b"x")
    bad = frame.HEADER.pack(frame.MAGIC, 1, 1, 0, 0, 0, 1, 1) + frame.ENTRY.pack(7, 0, 0, 1)
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(ends[0], [bad], [fd])
    with pytest.raises(luna_client.LunaError, match="place 7"):
        frame.receive(ends[1], 1)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)
