"""Tensors that stay on the server."""

from __future__ import annotations

from luna_client.calls.caller import Caller
from luna_client.options import Cancel, TensorKind
from luna_client.resident import ResidentTensor
from luna_client.tensors import Tensor, TensorInput


class ResidentCalls(Caller):
    """Uploads and downloads. Resident tensors belong to this session, within the workflow of the
    call."""

    async def upload(
        self,
        tensor: TensorInput,
        *,
        workflow_id: str,
        timeout: float | None = None,
        cancel: Cancel | None = None,
    ) -> ResidentTensor:
        """Puts a tensor on the server, to be used in any number of calls."""
        return await self._call(workflow_id, timeout, cancel=cancel).upload(tensor)

    async def download(
        self,
        tensor: ResidentTensor,
        *,
        tensors: TensorKind | None = None,
        timeout: float | None = None,
        cancel: Cancel | None = None,
    ) -> Tensor:
        """Its values; the tensor stays where it is. tensors: "numpy" or "torch"; None: as
        connect() says."""
        return await self._call(tensor.workflow_id, timeout, cancel=cancel).download(
            tensor, tensors
        )

    async def free(self, *tensors: ResidentTensor, timeout: float | None = None) -> int:
        """Frees them and waits for it; bytes freed. Those that are gone already count nothing."""
        return await self._call("", timeout).free(tensors)
