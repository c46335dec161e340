"""Model files: what is there, what is in them, what is loaded."""

from __future__ import annotations

from luna_client.calls import model_requests
from luna_client.calls.caller import Caller
from luna_client.models import Precision
from luna_client.rpc import methods
from luna_client.v1 import models_pb2


class ModelCalls(Caller):
    """`luna.models`. Replies are the messages of proto/luna/v1/models.proto."""

    async def list(
        self, folder: str = "", *, timeout: float | None = None
    ) -> models_pb2.ListModelsResponse:
        """`files` below the roots ("checkpoints", "vae", "loras", ...; "": all folders) and what
        is `loaded`."""
        return await self._call("", timeout).unary(
            methods.LIST_MODELS, models_pb2.ListModelsRequest(folder=folder)
        )

    async def inspect(
        self, file: str, *, tensors: bool = False, timeout: float | None = None
    ) -> models_pb2.InspectModelResponse:
        """The components of a file, from names and shapes alone. tensors: also name, type and
        shape of every tensor of its header, for who has to know a model's weights without having
        the file."""
        request = models_pb2.InspectModelRequest(file=file, tensors=tensors)
        return await self._call("", timeout).unary(methods.INSPECT_MODEL, request)

    async def load(
        self, slot: str, file: str, *, precision: Precision = "auto", timeout: float | None = None
    ) -> models_pb2.LoadedModel:
        """Loads a component ("unet", "vae", "clip_l", ...) of a file now."""
        request = models_pb2.LoadModelRequest(
            slot=model_requests.slot_to_wire(slot),
            model=model_requests.model_to_wire(file, precision),
        )
        return (await self._call("", timeout).unary(methods.LOAD_MODEL, request)).model

    async def unload(
        self, file: str, *, host: bool = False, timeout: float | None = None
    ) -> models_pb2.UnloadModelResponse:
        """Takes what came from a file off the devices of all workers; host: the copies in memory
        too. What a job uses stays, and is in the reply's `held`. FailedPrecondition for a pinned
        file."""
        request = models_pb2.UnloadModelRequest(file=file, host=host)
        return await self._call("", timeout).unary(methods.UNLOAD_MODEL, request)

    async def offload(
        self, file: str, slot: str | None = None, *, timeout: float | None = None
    ) -> models_pb2.OffloadModelResponse:
        """As unload(), for what restore() shall bring back; the reply says where the weights lie
        now."""
        request = models_pb2.OffloadModelRequest(file=file, slot=model_requests.slot_to_wire(slot))
        return await self._call("", timeout).unary(methods.OFFLOAD_MODEL, request)

    async def restore(
        self, file: str, *, timeout: float | None = None
    ) -> models_pb2.RestoreModelResponse:
        """Loads what offload() took off, from host copies where there are such."""
        return await self._call("", timeout).unary(
            methods.RESTORE_MODEL, models_pb2.RestoreModelRequest(file=file)
        )

    async def pin(self, file: str, *, timeout: float | None = None) -> str:
        """What comes from this file is never evicted, until unpin() or the daemon's end. The
        file's absolute path."""
        return (
            await self._call("", timeout).unary(
                methods.PIN_MODEL, models_pb2.PinModelRequest(file=file)
            )
        ).file

    async def unpin(self, file: str, *, timeout: float | None = None) -> str:
        """NotFound for a file that is not pinned."""
        return (
            await self._call("", timeout).unary(
                methods.UNPIN_MODEL, models_pb2.UnpinModelRequest(file=file)
            )
        ).file
