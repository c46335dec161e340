"""All calls, as coroutines over a Link: the one implementation behind Luna and AsyncLuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luna_client.calls.generate import GenerateCalls
from luna_client.calls.loras import LoraCalls
from luna_client.calls.models import ModelCalls
from luna_client.calls.resident import ResidentCalls
from luna_client.link import Link
from luna_client.models import Models, Precision
from luna_client.options import TensorKind
from luna_client.proxies import AsyncClipProxy, AsyncModelProxy, AsyncProxies, AsyncVaeProxy
from luna_client.rpc import methods
from luna_client.tensors import Tensor
from luna_client.v1 import status_pb2


class Calls(GenerateCalls, ResidentCalls):
    """See the classes that it is made of."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.models = ModelCalls(link)
        self.loras = LoraCalls(link)

    async def get_model_proxies(
        self,
        workflow_id: str | None = None,
        model_type: str | None = None,
        models: Models | None = None,
        *,
        precision: Mapping[str, Precision] | None = None,
        ttl: int = 0,
        preload: bool = False,
        timeout: float | None = None,
    ) -> AsyncProxies:
        """As register_workflow(), for the three of them. Without models: of a workflow that is
        registered already."""
        if models is not None:
            workflow = await self.register_workflow(
                models,
                workflow_id=workflow_id,
                model_type=model_type,
                precision=precision,
                ttl=ttl,
                preload=preload,
                timeout=timeout,
            )
            workflow_id = workflow.workflow_id
        else:
            workflow_id = await self._link.workflows.known(workflow_id, timeout)
        return AsyncProxies(
            AsyncModelProxy(self, workflow_id),
            AsyncClipProxy(self, workflow_id),
            AsyncVaeProxy(self, workflow_id),
        )

    async def status(self, *, timeout: float | None = None) -> status_pb2.GetStatusResponse:
        """Workers, models, queues, counters and events, as proto/luna/v1/status.proto has them."""
        return await self._call("", timeout).unary(
            methods.GET_STATUS, status_pb2.GetStatusRequest()
        )

    async def ping(self, *, timeout: float = 5.0) -> float:
        """Seconds for a round trip over the session's stream."""
        return await self._link.ping(timeout)

    async def ensure(self) -> bool:
        """Connects again when the session has ended, and registers this client's workflows
        again: what every call does by itself. True when that was necessary."""
        return await self._link.ensure()

    async def empty(
        self, shape: Sequence[int], dtype: str = "f32", *, tensors: TensorKind | None = None
    ) -> Tensor:
        """An array in memory that the daemon has mapped; see Luna.empty()."""
        return await self._link.empty(shape, dtype, tensors)
