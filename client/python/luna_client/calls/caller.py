"""What all groups of calls have in common."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from luna_client.calls.call import Call
from luna_client.link import Link
from luna_client.options import Cancel, Priority


class Caller:
    """Makes calls over a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def _call(
        self,
        workflow_id: str,
        timeout: float | None = None,
        priority: Priority | None = None,
        cancel: Cancel | None = None,
    ) -> Call:
        return self._link.call(workflow_id, timeout, priority, cancel)

    async def together(self, calls: list[Coroutine[Any, Any, Any]], abort: Cancel) -> list[Any]:
        """The results of several calls at once. The first failure, or an interrupt, is raised
        when `abort` has ended the others, which were made with it."""
        return await self._link.runtime.together(calls, abort)
