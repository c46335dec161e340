"""The port between the calls and gRPC's two Python APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from luna_client.options import Cancel
from luna_client.rpc.methods import Request, Response
from luna_client.v1 import session_pb2

Metadata = tuple[tuple[str, str], ...]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """A call that has begun."""

    async def result(self) -> T_co:
        """Waits. Whatever interrupts the waiting ends the call on the server."""

    def cancel(self) -> None:
        """Ends it on the server; from any thread."""


class SessionStream(Protocol):
    """An open Sessions.Attend."""

    def welcome(self) -> session_pb2.SessionWelcome: ...

    def ended(self) -> str | None:
        """Why it has ended; None while it lives."""

    async def wait_end(self, seconds: float) -> bool:
        """True when it has ended by then."""

    async def ping(self, seconds: float) -> float:
        """Seconds of a round trip."""

    def close(self) -> None: ...


class Channel(Protocol):
    """A connection to a daemon. Failures are LunaErrors that name its address."""

    def unary(
        self,
        method: Any,
        request: Any,
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> Pending[Any]: ...

    def stream(
        self,
        method: Any,
        request: Any,
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> AsyncIterator[Any]:
        """The replies. Leaving the iteration early needs aclose(), which ends the call on the
        server."""

    def send(
        self,
        method: Any,
        requests: Iterator[Any],
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> Pending[Any]: ...

    async def attend(self, hello: session_pb2.SessionHello, timeout: float) -> SessionStream: ...

    async def close(self) -> None: ...


class Runtime(Protocol):
    """Threads, or an event loop."""

    def channel(self, address: str) -> Channel: ...

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Work that blocks beside gRPC: files, local sockets."""

    async def sleep(self, seconds: float) -> None: ...

    async def together(self, calls: list[Coroutine[Any, Any, Any]], abort: Cancel) -> list[Any]:
        """Results in the order of the calls. On a failure `abort` ends the others."""

    def lock(self) -> AbstractAsyncContextManager[Any]: ...

    def attendant(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Runs `work` in the background whenever the function that it returns was called, which
        may be from a finalizer."""

    def stop_attendant(self) -> None: ...


def options() -> list[tuple[str, Any]]:
    """Of every channel."""
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        # A connection of its own: its end is this client's end, and no other's back-off delays it.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
    ]


__all__ = [
    "Channel",
    "Metadata",
    "Pending",
    "Request",
    "Response",
    "Runtime",
    "SessionStream",
    "options",
]
