"""Tensors beside the calls: in a message, in memory that both have mapped, or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from luna_client.errors import LunaError, NotFound
from luna_client.options import Cancel, TensorKind
from luna_client.planes.outgoing import Outgoing, set_spec
from luna_client.rpc import methods
from luna_client.runtime.runtime import Metadata
from luna_client.tensors import HostBytes
from luna_client.v1 import tensor_pb2

if TYPE_CHECKING:
    from luna_client.session import Session

#: Of all tensors of a message together; more goes by another way.
INLINE_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 20
_SECONDS = 60.0


class Transfer:
    """Of one call in one session."""

    def __init__(
        self,
        session: Session,
        metadata: Metadata,
        left: Callable[[], float | None],
        cancel: Cancel | None,
    ) -> None:
        self._session = session
        self._metadata = metadata
        self._left = left
        self._cancel = cancel

    @asynccontextmanager
    async def placed(self, outgoing: Outgoing) -> AsyncIterator[None]:
        """Names a place in the request for every tensor; takes back at the end what was made for
        this call alone."""
        session, uploaded, inline = self._session, dict[tuple[int, int], str](), 0
        lent = []
        try:
            for item in outgoing.items:
                size = item.host.data.nbytes
                if (lease := await session.planes.place(item)) is not None:
                    lent.append(lease)
                elif inline + size <= INLINE_BYTES:
                    item.ref.inline = item.host.data.tobytes()
                    inline += size
                    session.planes.statistics.sent("inline", size)
                else:
                    key = (item.host.address, size)
                    if key not in uploaded:
                        uploaded[key], _ = await self.upload(item.host)
                    item.ref.resident_id = uploaded[key]
            yield
        finally:
            for lease in lent:
                lease.release()
            if uploaded and session.stream.ended() is None:
                with suppress(LunaError):  # the end of the session frees them too
                    await self.free(list(uploaded.values()))

    def _timeout(self, count: int) -> float:
        left = self._left()
        return _SECONDS + count / _CHUNK_BYTES if left is None else left

    async def upload(self, tensor: HostBytes) -> tuple[str, str]:
        """(id of a resident tensor, plane)."""
        region = await self._session.planes.seal(tensor)

        def parts() -> Iterator[tensor_pb2.UploadTensorRequest]:
            named = tensor_pb2.TensorRef()
            set_spec(named, tensor.dtype, tensor.shape)
            yield tensor_pb2.UploadTensorRequest(spec=named.spec)
            if region is not None:
                yield tensor_pb2.UploadTensorRequest(region=region)
                return
            for at in range(0, tensor.data.nbytes, _CHUNK_BYTES):
                yield tensor_pb2.UploadTensorRequest(
                    chunk=tensor.data[at : at + _CHUNK_BYTES].tobytes()
                )

        try:
            response = await self._session.channel.send(
                methods.UPLOAD,
                parts(),
                self._metadata,
                self._timeout(tensor.data.nbytes),
                self._cancel,
            ).result()
        finally:
            if region is not None:
                await self._session.planes.release(region)
        plane = "chunks" if region is None else "shm"
        self._session.planes.statistics.sent(plane, tensor.data.nbytes)
        return str(response.tensor.resident_id), plane

    async def download(self, resident_id: str, count: int, kind: TensorKind) -> tuple[Any, str]:
        """(bytes of a resident tensor, plane)."""
        shared = self._session.planes.shared
        request = tensor_pb2.DownloadTensorRequest(resident_id=resident_id, as_region=shared)
        data: Any = bytearray()
        plane = "chunks"
        replies = self._session.channel.stream(
            methods.DOWNLOAD, request, self._metadata, self._timeout(count), self._cancel
        )
        async with aclosing(replies) as messages:  # type: ignore[type-var]
            async for message in messages:
                if message.HasField("region"):
                    data, plane = (
                        await self._session.planes.take(message.region, count, kind),
                        "shm",
                    )
                else:
                    data += message.chunk
        self._session.planes.statistics.received(plane, count)
        return data, plane

    async def free(self, ids: Sequence[str]) -> int:
        """Bytes freed; an id that is gone counts nothing."""
        request = tensor_pb2.FreeTensorRequest(resident_ids=ids)
        try:
            response = await self._session.channel.unary(
                methods.FREE, request, self._metadata, _SECONDS, None
            ).result()
        except NotFound:
            return 0
        return int(response.freed_bytes)
