"""gRPC's blocking API. No coroutine here ever suspends: blocking.run() depends on it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

import grpc

from luna_client.blocking import run
from luna_client.errors import Cancelled, DeadlineExceeded, LunaError, Unavailable, from_status
from luna_client.options import Cancel
from luna_client.rpc.methods import ATTEND
from luna_client.runtime.runtime import Channel, Metadata, Pending, SessionStream, options
from luna_client.v1 import session_pb2

T = TypeVar("T")


def _error(error: grpc.RpcError, address: str) -> LunaError:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    if code is None or code() is None:
        return Unavailable(f"the connection to lunad at {address} is closed")
    return from_status(code().name, (details() if details else "") or "", address)


class _Call:
    """A gRPC future, cancelled when its waiting is interrupted."""

    def __init__(self, call: Any, address: str, cancel: Cancel | None) -> None:
        self._call = call
        self._address = address
        self._forget = cancel.watch(call.cancel) if cancel else None

    async def result(self) -> Any:
        try:
            return self._call.result()
        except grpc.FutureCancelledError:
            raise Cancelled("the call was cancelled") from None
        except grpc.RpcError as error:
            raise _error(error, self._address) from None
        except BaseException:
            self._call.cancel()
            raise
        finally:
            if self._forget:
                self._forget()

    def cancel(self) -> None:
        self._call.cancel()


class _Session:
    """An Attend stream: its requests come from a queue, a thread of its own reads the answers."""

    def __init__(
        self, channel: grpc.Channel, address: str, hello: session_pb2.SessionHello
    ) -> None:
        self._address = address
        self._requests: queue.SimpleQueue[session_pb2.SessionRequest | None] = queue.SimpleQueue()
        self._requests.put(session_pb2.SessionRequest(hello=hello))
        self._changed = threading.Condition()
        self._welcome: session_pb2.SessionWelcome | None = None
        self._end: LunaError | None = None
        self._goodbye = ""
        self._pongs: set[int] = set()
        self._nonce = 0
        begin = channel.stream_stream(
            ATTEND.path,
            request_serializer=ATTEND.request.SerializeToString,
            response_deserializer=ATTEND.response.FromString,
        )
        self._call = begin(iter(self._requests.get, None))
        threading.Thread(target=self._read, name="luna-session", daemon=True).start()

    def _read(self) -> None:
        end: LunaError = Unavailable(f"lunad at {self._address} ended the session")
        try:
            for response in self._call:
                with self._changed:
                    if response.HasField("welcome"):
                        self._welcome = response.welcome
                    elif response.HasField("pong"):
                        self._pongs.add(response.pong.nonce)
                    elif response.HasField("goodbye"):
                        self._goodbye = response.goodbye.reason
                    self._changed.notify_all()
        except grpc.RpcError as error:
            end = _error(error, self._address)
        with self._changed:
            self._end = end
            self._changed.notify_all()
        self._requests.put(None)

    def wait_welcome(self, timeout: float) -> None:
        """Raises why there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._welcome or self._end, timeout)
            if self._end:
                raise self._end
            if not self._welcome:
                raise Unavailable(
                    f"lunad at {self._address} did not answer within {timeout:g} s; start lunad, "
                    "or give the address of one that runs"
                )

    def welcome(self) -> session_pb2.SessionWelcome:
        assert self._welcome is not None
        return self._welcome

    def ended(self) -> str | None:
        if self._end is None:
            return None
        return self._goodbye or self._end.message

    async def wait_end(self, seconds: float) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._end, seconds))

    async def ping(self, seconds: float) -> float:
        begin = time.monotonic()
        with self._changed:
            self._nonce += 1
            nonce = self._nonce
            self._requests.put(
                session_pb2.SessionRequest(ping=session_pb2.SessionPing(nonce=nonce))
            )
            self._changed.wait_for(lambda: nonce in self._pongs or self._end, seconds)
            if nonce in self._pongs:
                self._pongs.discard(nonce)
                return time.monotonic() - begin
            if self._end:
                raise self._end
        raise DeadlineExceeded(
            f"lunad at {self._address} did not answer a ping within {seconds:g} s"
        )

    def close(self) -> None:
        self._call.cancel()
        self._requests.put(None)


class _Channel:
    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address, options=options())

    def unary(
        self,
        method: Any,
        request: Any,
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> Pending[Any]:
        call = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return _Call(self._begin(call.future, request, metadata, timeout), self._address, cancel)

    def send(
        self,
        method: Any,
        requests: Iterator[Any],
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> Pending[Any]:
        call = self._channel.stream_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return _Call(self._begin(call.future, requests, metadata, timeout), self._address, cancel)

    async def stream(
        self,
        method: Any,
        request: Any,
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> AsyncIterator[Any]:
        begin = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        call = self._begin(begin, request, metadata, timeout)
        forget = cancel.watch(call.cancel) if cancel else None
        try:
            for response in call:
                yield response
        except grpc.RpcError as error:
            raise _error(error, self._address) from None
        finally:
            call.cancel()
            if forget:
                forget()

    def _begin(self, method: Any, request: Any, metadata: Metadata, timeout: float | None) -> Any:
        try:
            return method(request, metadata=metadata, timeout=timeout)
        except ValueError as error:  # what gRPC says of a closed channel
            raise Unavailable(
                f"the connection to lunad at {self._address} is closed ({error})"
            ) from None

    async def attend(self, hello: session_pb2.SessionHello, timeout: float) -> SessionStream:
        session = _Session(self._channel, self._address, hello)
        try:
            session.wait_welcome(timeout)
        except BaseException:
            session.close()
            raise
        return session

    async def close(self) -> None:
        self._channel.close()


class _Lock:
    """threading.Lock as the calls take locks. Reentrance is not needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


class ThreadRuntime:
    """Blocks in the caller's thread."""

    def __init__(self) -> None:
        self._wakes: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def channel(self, address: str) -> Channel:
        return _Channel(address)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def together(self, calls: list[Coroutine[Any, Any, Any]], abort: Cancel) -> list[Any]:
        if len(calls) == 1:
            return [run(calls[0])]
        with concurrent.futures.ThreadPoolExecutor(max(1, len(calls)), "luna-call") as threads:
            futures = [threads.submit(run, call) for call in calls]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                abort()
                raise
        return [future.result() for future in futures]

    def lock(self) -> contextlib.AbstractAsyncContextManager[Any]:
        return _Lock()

    def attendant(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        wakes = self._wakes  # SimpleQueue.put() may be called from a finalizer

        def attend() -> None:
            while wakes.get():
                run(work())

        threading.Thread(target=attend, name="luna-attendant", daemon=True).start()
        return lambda: wakes.put(True)

    def stop_attendant(self) -> None:
        self._wakes.put(False)
