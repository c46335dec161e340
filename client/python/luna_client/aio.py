"""The asyncio client: the same calls as coroutines.

async with await luna_client.aio.connect() as luna:
    status = await luna.status()
"""

from __future__ import annotations

from types import TracebackType

from luna_client.calls import Calls
from luna_client.link import Link, Settings
from luna_client.options import PlaneChoice, Priority, TensorKind
from luna_client.planes.report import PlaneReport
from luna_client.runtime.event_loop import LoopRuntime


async def connect(
    address: str | None = None,
    *,
    client_name: str = "luna_client",
    plane: PlaneChoice = "auto",
    tensors: TensorKind = "numpy",
    priority: Priority = "normal",
    timeout: float = 5.0,
    restart_wait: float = 30.0,
) -> AsyncLuna:
    """As luna_client.connect(). The client belongs to the running event loop."""
    settings = Settings(address, client_name, plane, tensors, priority, timeout, restart_wait)
    link = Link(settings, LoopRuntime())
    await link.open()
    return AsyncLuna(link)


class AsyncLuna(Calls):
    """As luna_client.Luna; to cancel a call's task ends its work on the server."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)

    @property
    def address(self) -> str:
        return self._link.address

    @property
    def session_id(self) -> str:
        return self._link.session_id

    @property
    def planes(self) -> PlaneReport:
        return self._link.planes

    async def close(self) -> None:
        """Ends the session. Calls under way end with Cancelled."""
        await self._link.close()

    async def __aenter__(self) -> AsyncLuna:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncLuna({self._link.address!r}, session={self._link.session_id!r})"
