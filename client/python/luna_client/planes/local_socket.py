"""A session's local socket (proto/luna/v1/local.proto): regions and results by descriptor."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError

from luna_client.errors import (
    CODE_NAMES,
    FailedPrecondition,
    InternalError,
    LunaError,
    Unavailable,
    from_status,
)
from luna_client.planes import frame
from luna_client.planes.memory import map_received, sealed
from luna_client.v1 import local_pb2

VERSION = 1
REQUEST, RESPONSE = 1, 2
_NONCE_BYTES = 16
#: An exchange takes microseconds; a daemon that does not answer for so long hangs.
_PATIENCE_SECONDS = 30.0


class LocalSocket:
    """One request at a time; thread-safe. After a failure of the exchange itself every further
    call is Unavailable."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._lock = threading.Lock()
        self.alive = True

    def ask(
        self, request: local_pb2.LocalRequest, descriptors: Sequence[tuple[int, int]] = ()
    ) -> tuple[local_pb2.LocalResponse, list[int]]:
        """The response, and descriptors that the caller closes. Refusals are raised as gRPC's
        would be."""
        with self._lock:
            if not self.alive:
                raise Unavailable(
                    "the local socket to lunad has ended; the next call connects again"
                )
            try:
                response, fds = self._exchange(request, descriptors)
            except OSError as error:
                self.alive = False
                if isinstance(error, LunaError):
                    raise
                raise Unavailable(f"lunad's local socket: {error}") from error
            except BaseException:
                self.alive = False  # what comes now may be the answer to this one
                raise
        if response.code:
            for fd in fds:
                os.close(fd)
            code = CODE_NAMES[response.code] if response.code < len(CODE_NAMES) else "UNKNOWN"
            raise from_status(code, response.message, "the local socket")
        return response, fds

    def _exchange(
        self, request: local_pb2.LocalRequest, descriptors: Sequence[tuple[int, int]]
    ) -> tuple[local_pb2.LocalResponse, list[int]]:
        frame.send(self._socket, VERSION, REQUEST, request.SerializeToString(), descriptors)
        answer = frame.receive(self._socket, VERSION)
        try:
            if answer.message != RESPONSE:
                raise InternalError(f"expected a LocalResponse, found message {answer.message}")
            return local_pb2.LocalResponse.FromString(answer.body), answer.descriptors
        except (DecodeError, InternalError):
            for fd in answer.descriptors:
                os.close(fd)
            raise

    def introduce(self, token: str) -> list[str]:
        """Proves to each other that both see the same memory; the planes that the session has
        then."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        fd, size = sealed(nonce, "luna-nonce")
        try:
            attached, fds = self.ask(
                local_pb2.LocalRequest(attach=local_pb2.Attach(token=token)), [(fd, size)]
            )
        finally:
            os.close(fd)
        theirs = map_received(_only(fds), writable=False)
        if attached.attached.nonce != nonce:
            raise FailedPrecondition(
                "the daemon read another number than this client wrote: they share no memory"
            )
        prove = local_pb2.LocalRequest(prove=local_pb2.Prove(nonce=theirs[:_NONCE_BYTES]))
        return list(self.ask(prove)[0].proved.planes)

    def register(self, fd: int, size: int) -> str:
        """The id of memory that this client made."""
        request = local_pb2.LocalRequest(register_region=local_pb2.RegisterRegion(bytes=size))
        return self.ask(request, [(fd, size)])[0].region_registered.region_id

    def release(self, region_ids: Sequence[str]) -> None:
        """The daemon forgets them; calls under way keep what they use."""
        self.ask(
            local_pb2.LocalRequest(release_regions=local_pb2.ReleaseRegions(region_ids=region_ids))
        )

    def take(self, region_id: str) -> int:
        """The descriptor of a result, which the daemon forgets."""
        return _only(
            self.ask(local_pb2.LocalRequest(take_region=local_pb2.TakeRegion(region_id=region_id)))[
                1
            ]
        )

    def open_steps(self, workflow_id: str, lora_files: Iterable[str]) -> socket.socket:
        """A socket to a worker of the workflow's UNet, for evaluations with these LoRAs."""
        opening = local_pb2.OpenSteps(workflow_id=workflow_id, lora_files=sorted(lora_files))
        return socket.socket(fileno=_only(self.ask(local_pb2.LocalRequest(open_steps=opening))[1]))

    def close(self) -> None:
        self.alive = False
        self._socket.close()


def connect(path: str, timeout: float) -> LocalSocket:
    """OSError when nobody listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return LocalSocket(sock)


def _only(fds: list[int]) -> int:
    if len(fds) == 1:
        return fds[0]
    for fd in fds:
        os.close(fd)
    raise InternalError(f"lunad answered with {len(fds)} descriptors; one was expected")
