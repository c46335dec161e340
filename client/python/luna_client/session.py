"""One session with a daemon: a channel, its Attend stream, and the planes that tensors may take.
It ends once, and a Link makes another then."""

from __future__ import annotations

from pathlib import Path

from luna_client.options import Priority
from luna_client.planes.planes import Planes
from luna_client.runtime.runtime import Channel, Metadata, SessionStream
from luna_client.v1 import session_pb2
from luna_client.version import __version__


def host_id() -> str:
    """Tells hosts apart; empty where the system has no boot id."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def hello(client_name: str, device_uuids: list[str]) -> session_pb2.SessionHello:
    """What a client says of itself."""
    return session_pb2.SessionHello(
        client_name=client_name,
        client_version=f"python {__version__}",
        device_uuids=device_uuids,
        host_id=host_id(),
    )


class Session:
    """`id` names it in metadata and in resident tensors."""

    def __init__(self, channel: Channel, stream: SessionStream, planes: Planes) -> None:
        self.channel = channel
        self.stream = stream
        self.planes = planes
        self.id = stream.welcome().session_id

    def metadata(self, workflow_id: str, priority: Priority) -> Metadata:
        """Of a call in this session."""
        about = (("luna-session-id", self.id), ("luna-priority", priority))
        return (*about, ("luna-workflow-id", workflow_id)) if workflow_id else about

    async def close(self) -> None:
        """Frees on the server what it owned."""
        self.planes.close()
        self.stream.close()
        await self.channel.close()
