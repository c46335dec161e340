"""A client's tie to its daemon: the present session, and another one when it has ended."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from luna_client.address import find_daemon
from luna_client.calls.call import Call
from luna_client.errors import Cancelled, ForkedProcess, LunaError, NotFound, Unavailable
from luna_client.options import Cancel, PlaneChoice, Priority, TensorKind
from luna_client.planes.cuda import visible_devices
from luna_client.planes.planes import Planes, Statistics
from luna_client.planes.report import PlaneReport
from luna_client.registry import Registry
from luna_client.rpc import methods
from luna_client.runtime.runtime import Runtime
from luna_client.session import Session, hello
from luna_client.tensors import Tensor
from luna_client.v1 import tensor_pb2

_RETRY_SECONDS = 0.1
#: The stream of a session ends a little after the calls that tell of it.
_END_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """As connect() takes them."""

    address: str | None
    client_name: str
    plane: PlaneChoice
    tensors: TensorKind
    priority: Priority
    timeout: float
    restart_wait: float


class Link:
    """Thread-safe over the thread runtime; of one event loop over the other."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self.settings = settings
        self.runtime = runtime
        self.workflows = Registry(self)
        self.statistics = Statistics()
        self.address = ""
        self._session: Session | None = None
        self._closed = False
        self._pid = os.getpid()
        self._opening = runtime.lock()
        self._dead: deque[tuple[str, str, str]] = deque()
        self._wake = runtime.attendant(self._free_dead)

    async def open(self) -> None:
        """The first session. Unavailable says what was tried."""
        try:
            await self._open(self.settings.timeout)
        except BaseException:
            self.runtime.stop_attendant()
            raise

    def check(self) -> None:
        """Raises where no call can be made."""
        if self._pid != os.getpid():
            raise ForkedProcess(
                "this connection was made before a fork and belongs to the parent process; connect "
                'in the child, or start processes by multiprocessing\'s "spawn"'
            )
        if self._closed:
            raise Cancelled("this client is closed; connect again")

    @property
    def session_id(self) -> str:
        return self._session.id if self._session else ""

    @property
    def planes(self) -> PlaneReport:
        planes = self._session.planes if self._session else None
        return self.statistics.report(planes)

    async def session(self) -> Session:
        """The present session; a new one when it has ended."""
        self.check()
        session = self._session
        if session is not None and session.stream.ended() is None:
            return session
        await self.ensure()
        assert self._session is not None
        return self._session

    async def ensure(self) -> bool:
        """Connects again when the session has ended, waiting for a daemon up to `restart_wait`,
        and registers the workflows again. True when that was necessary."""
        self.check()
        async with self._opening:
            if self._session is not None and self._session.stream.ended() is None:
                return False
            end = time.monotonic() + self.settings.restart_wait
            while True:
                try:
                    await self._open(self.settings.timeout)
                    break
                except Unavailable:
                    if time.monotonic() >= end:
                        raise
                await self.runtime.sleep(_RETRY_SECONDS)
        assert self._session is not None
        await self.workflows.ensure_all(self._session)
        return True

    async def _open(self, timeout: float) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        address = await self.runtime.run(find_daemon, self.settings.address)
        channel = self.runtime.channel(address)
        try:
            devices = visible_devices() if self.settings.plane in ("auto", "cuda") else []
            stream = await channel.attend(hello(self.settings.client_name, devices), timeout)
            planes = Planes(self.settings.plane, self.runtime, self.statistics)
            await planes.open(stream.welcome(), address, timeout)
        except BaseException:
            await channel.close()
            raise
        self.address = address
        self._session = Session(channel, stream, planes)

    async def gone(self, session: Session, error: Unavailable) -> bool:
        """Whether the session has ended with this failure, so that another one may serve the
        call."""
        if self.settings.restart_wait <= 0:
            return False
        return await session.stream.wait_end(_END_GRACE_SECONDS if error.connection_lost else 0)

    def call(
        self,
        workflow_id: str,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Call:
        """A call to be made."""
        return Call(self, workflow_id, timeout, priority or self.settings.priority, cancel)

    def free_later(self, session_id: str, workflow_id: str, resident_id: str) -> None:
        """From a finalizer, in any thread: only notes it."""
        if not self._closed and self._pid == os.getpid():
            self._dead.append((session_id, workflow_id, resident_id))
            self._wake()

    async def _free_dead(self) -> None:
        """In the background: frees what finalizers have noted. What is not freed ends with its
        session."""
        while self._dead:
            session_id, workflow_id, resident_id = self._dead.popleft()
            session = self._session
            if session is None or session.id != session_id or session.stream.ended() is not None:
                continue
            request = tensor_pb2.FreeTensorRequest(resident_ids=[resident_id])
            metadata = session.metadata(workflow_id, self.settings.priority)
            try:
                await session.channel.unary(
                    methods.FREE, request, metadata, self.settings.timeout, None
                ).result()
            except (NotFound, LunaError):
                continue

    async def ping(self, timeout: float) -> float:
        return await (await self.session()).stream.ping(timeout)

    async def empty(self, shape: Sequence[int], dtype: str, tensors: TensorKind | None) -> Tensor:
        return await (await self.session()).planes.empty(
            shape, dtype, tensors or self.settings.tensors
        )

    async def close(self) -> None:
        """Ends the session; a second time does nothing."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        self.runtime.stop_attendant()
        if self._session is not None:
            await self._session.close()
