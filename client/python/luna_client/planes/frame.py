"""Frames of a local socket, as common/local/frame.h has them; all numbers are little-endian:

    header  28 bytes: magic u32, version u16, message u16, flags u32 (0), body bytes u32,
            inline bytes u32, attachments u32, descriptors u32
    table   24 bytes an attachment: place u32 (a descriptor's index, or 0xffffffff: inline),
            zero u32, offset u64, size u64
    body    the message's own encoding
    inline  bytes of the attachments without a descriptor

Descriptors travel as SCM_RIGHTS with the header's first byte.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from luna_client.errors import Unavailable, from_status

MAGIC = 0x414E554C  # "LUNA"
INLINE = 0xFFFFFFFF
HEADER = struct.Struct("<IHHIIIII")
ENTRY = struct.Struct("<IIQQ")
_DESCRIPTOR = struct.Struct("@i")
MAX_DESCRIPTORS = 64
MAX_BODY = 16 << 20
MAX_INLINE = 64 << 20
MAX_ATTACHMENTS = 65536


@dataclass
class Frame:
    """As it came. Whoever has it closes its descriptors."""

    message: int
    body: bytes
    table: list[tuple[int, int, int]] = field(default_factory=list)
    inline: bytes = b""
    descriptors: list[int] = field(default_factory=list)


def encode(
    version: int, message: int, body: bytes, descriptors: Sequence[tuple[int, int]] = ()
) -> bytes:
    """The bytes of a frame. descriptors: (descriptor, bytes of its memory); each becomes an
    attachment."""
    head = HEADER.pack(MAGIC, version, message, 0, len(body), 0, len(descriptors), len(descriptors))
    table = b"".join(ENTRY.pack(place, 0, 0, size) for place, (_, size) in enumerate(descriptors))
    return head + table + body


def send(
    sock: socket.socket,
    version: int,
    message: int,
    body: bytes,
    descriptors: Sequence[tuple[int, int]] = (),
) -> None:
    """One frame. OSError when the peer is gone or takes nothing within the socket's timeout."""
    data = encode(version, message, body, descriptors)
    sent = socket.send_fds(sock, [data], [fd for fd, _ in descriptors]) if descriptors else 0
    sock.sendall(memoryview(data)[sent:])


def receive(sock: socket.socket, version: int) -> Frame:
    """The next frame. Unavailable when the stream ends, an error with the gRPC code INTERNAL for
    what is no frame."""
    descriptors: list[int] = []
    try:
        return _receive(sock, version, descriptors)
    except BaseException:
        for fd in descriptors:
            os.close(fd)
        raise


def _receive(sock: socket.socket, version: int, descriptors: list[int]) -> Frame:
    head = b""
    while len(head) < HEADER.size:
        # socket.recv_fds() passes no flags on, and the descriptors have to be close-on-exec.
        part, ancillary, flags, _ = sock.recvmsg(
            HEADER.size - len(head),
            socket.CMSG_SPACE(MAX_DESCRIPTORS * _DESCRIPTOR.size),
            socket.MSG_CMSG_CLOEXEC,
        )
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                whole = len(data) - len(data) % _DESCRIPTOR.size
                descriptors += [fd for (fd,) in _DESCRIPTOR.iter_unpack(data[:whole])]
        if flags & socket.MSG_CTRUNC:
            raise from_status(
                "RESOURCE_EXHAUSTED",
                "descriptors were lost: this process may open no more; raise its limit (ulimit -n)",
                "",
            )
        if not part:
            raise Unavailable("the local socket to lunad has ended; the next call connects again")
        head += part
    magic, spoken, message, flags, body, inline, attachments, count = HEADER.unpack(head)
    if magic != MAGIC or flags != 0:
        raise from_status(
            "INTERNAL",
            f"expected a frame (magic {MAGIC:#010x}), found {magic:#010x}, flags {flags:#x}",
            "",
        )
    if spoken != version:
        raise from_status(
            "FAILED_PRECONDITION",
            f"the daemon speaks version {spoken} of the local socket, this client "
            f"version {version}: both must be of one installation",
            "",
        )
    if (
        body > MAX_BODY
        or inline > MAX_INLINE
        or attachments > MAX_ATTACHMENTS
        or count != len(descriptors)
    ):
        raise from_status(
            "INTERNAL",
            f"a frame of {body} body bytes, {inline} inline bytes, {attachments} attachments "
            f"and {count} descriptors; {len(descriptors)} descriptors came",
            "",
        )
    table = [
        (place, offset, size)
        for place, _, offset, size in ENTRY.iter_unpack(_exactly(sock, ENTRY.size * attachments))
    ]
    for place, offset, size in table:
        if (place == INLINE and offset + size > inline) or (place != INLINE and place >= count):
            raise from_status(
                "INTERNAL", f"a frame whose table names bytes {offset}+{size} of place {place}", ""
            )
    return Frame(message, _exactly(sock, body), table, _exactly(sock, inline), descriptors)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = sock.recv(min(count - len(data), 1 << 20))
        if not part:
            raise Unavailable(
                "the local socket to lunad has ended in the middle of a frame; the next call "
                "connects again"
            )
        data += part
    return bytes(data)
