"""What all groups of calls have in common."""

from __future__ import annotations

from luna_client.calls.call import Call
from luna_client.link import Link
from luna_client.options import Cancel, Priority


class Caller:
    """Makes calls over a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def _call(self, workflow_id: str, timeout: float | None = None, priority: Priority | None = None,
              cancel: Cancel | None = None) -> Call:
        return self._link.call(workflow_id, timeout, priority, cancel)
