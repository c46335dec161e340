"""LoRA files that the server may lack."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from luna_client.calls.caller import Caller
from luna_client.errors import NotFound
from luna_client.lora_file import LoraFile, read_lora_file
from luna_client.options import Cancel
from luna_client.rpc import methods
from luna_client.v1 import adapters_pb2

CHUNK_BYTES = 1 << 20


def _header_of(path: Path) -> adapters_pb2.UploadAdapterHeader:
    """Hash and length of a file."""
    hash = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                hash.update(chunk)
            return adapters_pb2.UploadAdapterHeader(sha256=hash.hexdigest(), bytes=file.tell())
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read ({error.strerror}); expected a LoRA file of this machine"
        ) from error


def _parts(
    path: Path, header: adapters_pb2.UploadAdapterHeader
) -> Iterator[adapters_pb2.UploadAdapterRequest]:
    yield adapters_pb2.UploadAdapterRequest(header=header)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield adapters_pb2.UploadAdapterRequest(chunk=chunk)


class LoraCalls(Caller):
    """`luna.loras`."""

    async def upload(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | None = None,
        cancel: Cancel | None = None,
    ) -> str:
        """Gives the server a file of this machine, by content: what `Lora.file` takes
        ("sha256:..."). A file that is there already does not travel again; it stays over
        restarts of the daemon."""
        call = self._call("", timeout, cancel=cancel)
        header = await call.run(_header_of, Path(path))
        return (
            await call.send(
                methods.UPLOAD_ADAPTER, lambda: _parts(Path(path), header), header.bytes
            )
        ).file

    async def inspect(self, path: str | os.PathLike[str]) -> LoraFile:
        """What a file of this machine holds; the server is not asked."""
        return await self._link.runtime.run(read_lora_file, Path(path))
