"""gRPC's asyncio API."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import grpc
import grpc.aio

from luna_client.errors import Cancelled, DeadlineExceeded, LunaError, Unavailable, from_status
from luna_client.options import Cancel
from luna_client.rpc.methods import ATTEND
from luna_client.runtime.runtime import Channel, Metadata, Pending, SessionStream, options
from luna_client.v1 import session_pb2

T = TypeVar("T")


def _watch(cancel: Cancel | None, call: Any) -> Callable[[], None]:
    """A cancel may come from any thread; a call is of its loop."""
    if cancel is None:
        return lambda: None
    loop = asyncio.get_running_loop()
    return cancel.watch(lambda: loop.call_soon_threadsafe(call.cancel))


class _Call:
    """A call, cancelled when its waiting is."""

    def __init__(self, call: Any, address: str, cancel: Cancel | None) -> None:
        self._call = call
        self._address = address
        self._cancel = cancel
        self._forget = _watch(cancel, call)
        self._loop = asyncio.get_running_loop()

    async def result(self) -> Any:
        try:
            return await self._call
        except grpc.aio.AioRpcError as error:
            raise from_status(error.code().name, error.details() or "", self._address) from None
        except asyncio.CancelledError:
            self._call.cancel()
            if self._cancel and self._cancel.cancelled:
                raise Cancelled("the call was cancelled") from None
            raise
        finally:
            self._forget()

    def cancel(self) -> None:
        self._loop.call_soon_threadsafe(self._call.cancel)


class _Session:
    """An Attend stream and the task that reads it."""

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self._address = address
        self._welcome: session_pb2.SessionWelcome | None = None
        self._end: LunaError | None = None
        self._goodbye = ""
        self._pongs: set[int] = set()
        self._nonce = 0
        self._changed = asyncio.Condition()
        begin = channel.stream_stream(
            ATTEND.path,
            request_serializer=ATTEND.request.SerializeToString,
            response_deserializer=ATTEND.response.FromString,
        )
        self._call: Any = begin()
        self._reader: asyncio.Task[None] | None = None

    async def begin(self, hello: session_pb2.SessionHello, timeout: float) -> None:
        """Raises why there is no welcome."""
        self._reader = asyncio.create_task(self._read(), name="luna-session")
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await asyncio.wait_for(
                self._call.write(session_pb2.SessionRequest(hello=hello)), timeout
            )
        if not await self._wait(lambda: self._welcome or self._end, timeout) or self._end:
            raise self._end or Unavailable(
                f"lunad at {self._address} did not answer within {timeout:g} s; start "
                "lunad, or give the address of one that runs"
            )

    async def _read(self) -> None:
        end: LunaError = Unavailable(f"lunad at {self._address} ended the session")
        try:
            async for response in self._call:
                async with self._changed:
                    if response.HasField("welcome"):
                        self._welcome = response.welcome
                    elif response.HasField("pong"):
                        self._pongs.add(response.pong.nonce)
                    elif response.HasField("goodbye"):
                        self._goodbye = response.goodbye.reason
                    self._changed.notify_all()
        except grpc.aio.AioRpcError as error:
            end = from_status(error.code().name, error.details() or "", self._address)
        except asyncio.CancelledError:
            end = Unavailable("the session was closed")
        async with self._changed:
            self._end = end
            self._changed.notify_all()

    async def _wait(self, predicate: Callable[[], Any], seconds: float) -> bool:
        async def changed() -> None:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(predicate()))

        try:
            await asyncio.wait_for(changed(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    def welcome(self) -> session_pb2.SessionWelcome:
        assert self._welcome is not None
        return self._welcome

    def ended(self) -> str | None:
        if self._end is None:
            return None
        return self._goodbye or self._end.message

    async def wait_end(self, seconds: float) -> bool:
        return await self._wait(lambda: self._end, seconds)

    async def ping(self, seconds: float) -> float:
        begin = time.monotonic()
        self._nonce += 1
        nonce = self._nonce
        await self._call.write(
            session_pb2.SessionRequest(ping=session_pb2.SessionPing(nonce=nonce))
        )
        await self._wait(lambda: nonce in self._pongs or self._end, seconds)
        if nonce in self._pongs:
            self._pongs.discard(nonce)
            return time.monotonic() - begin
        raise self._end or DeadlineExceeded(
            f"lunad at {self._address} did not answer a ping within {seconds:g} s"
        )

    def close(self) -> None:
        self._call.cancel()


class _Channel:
    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.aio.insecure_channel(address, options=options())

    def unary(
        self,
        method: Any,
        request: Any,
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> Pending[Any]:
        begin = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return _Call(self._begin(begin, request, metadata, timeout), self._address, cancel)

    def send(
        self,
        method: Any,
        requests: Iterator[Any],
        metadata: Metadata,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> Pending[Any]:
        begin = self._channel.stream_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return _Call(self._begin(begin, requests, metadata, timeout), self._address, cancel)

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
        forget = _watch(cancel, call)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_status(error.code().name, error.details() or "", self._address) from None
        except asyncio.CancelledError:
            if cancel and cancel.cancelled:
                raise Cancelled("the call was cancelled") from None
            raise
        finally:
            call.cancel()
            forget()

    def _begin(self, method: Any, request: Any, metadata: Metadata, timeout: float | None) -> Any:
        try:
            return method(request, metadata=metadata, timeout=timeout)
        except grpc.aio.UsageError as error:
            raise Unavailable(
                f"the connection to lunad at {self._address} is closed ({error})"
            ) from None

    async def attend(self, hello: session_pb2.SessionHello, timeout: float) -> SessionStream:
        session = _Session(self._channel, self._address)
        try:
            await session.begin(hello, timeout)
        except BaseException:
            session.close()
            raise
        return session

    async def close(self) -> None:
        await self._channel.close()


class LoopRuntime:
    """Suspends in the running event loop; what blocks beside gRPC goes to its threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._attendant: asyncio.Task[None] | None = None

    def channel(self, address: str) -> Channel:
        return _Channel(address)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(function, *args)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def together(self, calls: list[Coroutine[Any, Any, Any]], abort: Cancel) -> list[Any]:
        tasks = [asyncio.ensure_future(call) for call in calls]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            abort()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def lock(self) -> contextlib.AbstractAsyncContextManager[Any]:
        return asyncio.Lock()

    def attendant(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        woken = asyncio.Event()
        loop = self._loop

        async def attend() -> None:
            while True:
                await woken.wait()
                woken.clear()
                await work()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(woken.set)

        self._attendant = loop.create_task(attend(), name="luna-attendant")
        return wake

    def stop_attendant(self) -> None:
        if self._attendant:
            self._attendant.cancel()
