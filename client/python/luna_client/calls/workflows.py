"""Workflows: names for sets of models, held as leases."""

from __future__ import annotations

from collections.abc import Mapping

from luna_client.calls import model_requests
from luna_client.calls.caller import Caller
from luna_client.models import Models, Precision
from luna_client.rpc import methods
from luna_client.v1 import workflow_pb2


class Workflows(Caller):
    """Registrations made here are remembered: after a restart of the daemon, or when a lease has
    run out, the next call under the id registers it again by itself."""

    async def register_workflow(
        self,
        models: Models,
        *,
        workflow_id: str | None = None,
        model_type: str | None = None,
        precision: Mapping[str, Precision] | None = None,
        ttl: int = 0,
        preload: bool = False,
        timeout: float | None = None,
    ) -> workflow_pb2.Workflow:
        """Registers a set under an id, or replaces an id's set; running calls finish on the old
        one.

        workflow_id None: one made of the set, so that equal sets share a registration.
        model_type ("SDXL", "SD1.5"): the family that the UNet must have, InvalidRequest else;
        families are recognised without it. precision: of single slots of a checkpoint. ttl:
        seconds without use until it ends, 0 the daemon's default; use renews it. preload: load
        now rather than at first use. The reply's `components` say what was found in the files."""
        request = model_requests.workflow_to_wire(
            models, workflow_id, precision or {}, ttl, preload
        )
        return await self._link.workflows.register(request, model_type, timeout)

    async def renew_workflow(self, workflow_id: str, *, timeout: float | None = None) -> int:
        """Keeps it for another ttl. Seconds left. NotFound when it ended and was not registered
        here."""
        call = self._call(workflow_id, timeout)
        request = workflow_pb2.RenewWorkflowRequest(workflow_id=workflow_id)
        return (await call.unary(methods.RENEW, request)).seconds_left

    async def release_workflow(self, workflow_id: str, *, timeout: float | None = None) -> None:
        """Ends it now, for every client, and forgets it here."""
        self._link.workflows.forget(workflow_id)
        call = self._call("", timeout)
        await call.unary(
            methods.RELEASE, workflow_pb2.ReleaseWorkflowRequest(workflow_id=workflow_id)
        )

    async def list_workflows(self, *, timeout: float | None = None) -> list[workflow_pb2.Workflow]:
        """All clients' registrations."""
        call = self._call("", timeout)
        return list(
            (
                await call.unary(methods.LIST_WORKFLOWS, workflow_pb2.ListWorkflowsRequest())
            ).workflows
        )
