"""The workflows that this client registered, so that they outlive the daemon and their leases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from luna_client.errors import InvalidRequest, LunaError, NotFound
from luna_client.rpc import methods
from luna_client.v1 import models_pb2, workflow_pb2

if TYPE_CHECKING:
    from luna_client.link import Link
    from luna_client.session import Session


class Registry:
    """Requests by workflow id, and the session in which each was last known to the server."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._requests: dict[str, workflow_pb2.RegisterWorkflowRequest] = {}
        self._known_in: dict[str, str] = {}

    async def register(
        self,
        request: workflow_pb2.RegisterWorkflowRequest,
        model_type: str | None,
        timeout: float | None,
    ) -> workflow_pb2.Workflow:
        """Registers, and remembers it when that worked."""
        call = self._link.call("", timeout)
        workflow = (await call.unary(methods.REGISTER, request)).workflow
        if model_type is not None:
            check_family(model_type, workflow)
        if call.session is not None:
            self._requests[workflow.workflow_id] = request
            self._known_in[workflow.workflow_id] = call.session.id
        return workflow

    async def known(self, workflow_id: str | None, timeout: float | None) -> str:
        """The id, if somebody has registered it."""
        if workflow_id is None:
            raise InvalidRequest(
                "expected models to register, or the workflow_id of a registered workflow"
            )
        call = self._link.call(workflow_id, timeout)
        await call.unary(methods.RENEW, workflow_pb2.RenewWorkflowRequest(workflow_id=workflow_id))
        return workflow_id

    def forget(self, workflow_id: str) -> None:
        """It is not registered again."""
        self._requests.pop(workflow_id, None)
        self._known_in.pop(workflow_id, None)

    async def ensure(self, session: Session, workflow_id: str) -> None:
        """Registers a workflow of this client in a session that has not seen it: the daemon may
        be another."""
        request = self._requests.get(workflow_id)
        if request is None or self._known_in.get(workflow_id) == session.id:
            return
        await self._send(session, request)

    async def ensure_all(self, session: Session) -> None:
        """All of them. One whose files have gone fails when it is called, not here."""
        for workflow_id in list(self._requests):
            try:
                await self.ensure(session, workflow_id)
            except (InvalidRequest, NotFound):
                continue

    async def revive(self, session: Session, workflow_id: str) -> bool:
        """Registers it again if the server has lost it; False: it was there, or is none of this
        client's."""
        request = self._requests.get(workflow_id)
        if request is None:
            return False
        renew = workflow_pb2.RenewWorkflowRequest(workflow_id=workflow_id)
        try:
            await session.channel.unary(
                methods.RENEW, renew, session.metadata("", "normal"), None, None
            ).result()
            return False
        except NotFound:
            await self._send(session, request)
            return True
        except LunaError:
            return False

    async def _send(self, session: Session, request: workflow_pb2.RegisterWorkflowRequest) -> None:
        await session.channel.unary(
            methods.REGISTER, request, session.metadata("", "normal"), None, None
        ).result()
        self._known_in[request.workflow_id] = session.id


def _plain(family: str) -> str:
    """ "SD 1.5" and "sd15" are "sd1"."""
    text = re.sub(r"[^a-z0-9]", "", family.lower())
    return {"sd15": "sd1", "sd14": "sd1"}.get(text, text)


def check_family(model_type: str, workflow: workflow_pb2.Workflow) -> None:
    """InvalidRequest when the UNet is of another family."""
    for component in workflow.components:
        if component.slot == models_pb2.SLOT_UNET and not _plain(component.family).startswith(
            _plain(model_type)
        ):
            raise InvalidRequest(
                f"model_type '{model_type}' was expected, and the files hold a UNet of family "
                f"'{component.family}' ({component.description}); name that type, or none"
            )
