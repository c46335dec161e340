"""One call: its tensors find places, it is made (again, when the daemon went away under it), its
results are taken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from luna_client.errors import (
    Cancelled,
    DaemonStopping,
    DeadlineExceeded,
    LunaError,
    NotFound,
    SessionLost,
    Unavailable,
)
from luna_client.options import Cancel, Priority, TensorKind
from luna_client.planes.outgoing import Outgoing
from luna_client.resident import ResidentTensor
from luna_client.rpc import methods
from luna_client.rpc.methods import Method, Request, Response
from luna_client.rpc.transfer import INLINE_BYTES, Transfer
from luna_client.sampling import Progress
from luna_client.tensors import DTYPES, Form, Tensor, TensorInput, byte_size, from_bytes
from luna_client.v1 import sampling_pb2, tensor_pb2

if TYPE_CHECKING:
    from luna_client.link import Link
    from luna_client.session import Session

T = TypeVar("T")
_STOPPING_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Taken:
    """A result and the plane by which it came."""

    tensor: Tensor
    plane: str


class Call:
    """Made for one call, used once."""

    def __init__(
        self,
        link: Link,
        workflow_id: str,
        timeout: float | None,
        priority: Priority,
        cancel: Cancel | None,
    ) -> None:
        self._link = link
        self._workflow_id = workflow_id
        self._end = None if timeout is None else time.monotonic() + timeout
        self._priority = priority
        self._cancel = cancel
        self._expected = 0
        self._keep: bool | None = None
        self._form = Form(link.settings.tensors)
        self._repeated = False
        #: A worker answered without the front in between.
        self.direct = False
        self._patience: float | None = None
        #: Of the last attempt.
        self.session: Session | None = None

    def expect_bytes(self, count: int) -> None:
        """At most so many bytes of results: those beyond what a message should carry are fetched
        in pieces."""
        self._expected = count

    def left(self) -> float | None:
        """Seconds until the deadline. DeadlineExceeded when it has passed."""
        if self._cancel and self._cancel.cancelled:
            raise Cancelled("the call was cancelled before it was made")
        if self._end is None:
            return None
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise DeadlineExceeded("the timeout passed before the call was made")
        return seconds

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Work that blocks beside gRPC."""
        return await self._link.runtime.run(function, *args)

    async def unary(
        self, method: Method[Request, Response], request: Request, outgoing: Outgoing | None = None
    ) -> Response:
        """The response."""

        async def begin(session: Session) -> Response:
            self._choose_keep(session, request)
            response: Response = await session.channel.unary(
                method, request, self._metadata(session), self.left(), self._cancel
            ).result()
            return response

        return await self._attempt(begin, outgoing or Outgoing())

    async def denoise(
        self, request: sampling_pb2.DenoiseRequest, outgoing: Outgoing
    ) -> sampling_pb2.DenoiseResponse:
        """A single evaluation, by the shortest way that there is."""
        session = await self._enter(outgoing)
        direct = await session.planes.step(
            self._workflow_id, request, outgoing, self._priority, self.left(), self._cancel
        )
        if direct is not None:
            self.direct = True
            return direct
        return await self.unary(methods.DENOISE, request, outgoing)

    async def stream(
        self, method: Method[Request, Response], request: Request, outgoing: Outgoing
    ) -> AsyncIterator[Response]:
        """The responses; those of a second attempt begin anew."""
        while True:
            session = await self._enter(outgoing)
            try:
                async with self._transfer(session).placed(outgoing):
                    self._choose_keep(session, request)
                    responses = session.channel.stream(
                        method, request, self._metadata(session), self.left(), self._cancel
                    )
                    async with aclosing(responses) as messages:  # type: ignore[type-var]
                        async for message in messages:
                            yield message
                return
            except (Unavailable, NotFound) as error:
                if not await self._again(session, error):
                    raise

    async def send(
        self, method: Method[Request, Response], parts: Callable[[], Iterator[Request]], count: int
    ) -> Response:
        """A call that sends a stream of about `count` bytes. `parts` makes it, for each attempt."""

        async def begin(session: Session) -> Response:
            left = self.left()
            response: Response = await session.channel.send(
                method,
                parts(),
                self._metadata(session),
                60 + count / (1 << 20) if left is None else left,
                self._cancel,
            ).result()
            return response

        return await self._attempt(begin, Outgoing())

    async def _attempt(self, begin: Callable[[Session], Awaitable[T]], outgoing: Outgoing) -> T:
        while True:
            session = await self._enter(outgoing)
            try:
                async with self._transfer(session).placed(outgoing):
                    return await begin(session)
            except (Unavailable, NotFound) as error:
                if not await self._again(session, error):
                    raise

    async def _enter(self, outgoing: Outgoing) -> Session:
        """The session, with the workflow and the resident tensors that the call names."""
        self.left()
        session = await self._link.session()
        if outgoing.form is not None:
            self._form = outgoing.form
        for item in outgoing.residents:
            if item.tensor.session != session.id:
                raise SessionLost(
                    f"{item.name}: {item.tensor!r} ended with its session; make it again"
                )
            item.ref.resident_id = item.tensor.id
        if self._workflow_id:
            await self._link.workflows.ensure(session, self._workflow_id)
        self.session = session
        return session

    async def _again(self, session: Session, error: Unavailable | NotFound) -> bool:
        """Whether another attempt may serve the call: every call may be made twice. A daemon
        that is being stopped refuses until another has taken its place; one that goes away under
        the call may do so once, since the call may be why."""
        if isinstance(error, SessionLost):
            return False
        if isinstance(error, DaemonStopping):
            if self._patience is None:
                self._patience = time.monotonic() + self._link.settings.restart_wait
            await self._link.runtime.sleep(_STOPPING_PAUSE_SECONDS)
            return time.monotonic() < self._patience
        if self._repeated:
            return False
        self._repeated = True
        if isinstance(error, Unavailable):
            return await self._link.gone(session, error)
        return bool(self._workflow_id) and await self._link.workflows.revive(
            session, self._workflow_id
        )

    def _metadata(self, session: Session) -> tuple[tuple[str, str], ...]:
        return session.metadata(self._workflow_id, self._priority)

    def _transfer(self, session: Session) -> Transfer:
        return Transfer(session, self._metadata(session), self.left, self._cancel)

    def _choose_keep(self, session: Session, request: Any) -> None:
        """Large results that have no plane of their own stay on the server until they are
        fetched."""
        if "keep" not in request.DESCRIPTOR.fields_by_name:
            return
        if self._keep is None:
            self._keep = request.keep
        request.keep = self._keep or (self._expected > INLINE_BYTES and not session.planes.shared)

    async def take(self, refs: Iterable[tensor_pb2.TensorRef]) -> list[Taken]:
        """Results as the caller wants them. When one cannot be had, the others are let go."""
        assert self.session is not None
        taken: list[Taken] = []
        fetched: list[str] = []
        waiting = list(refs)
        try:
            while waiting:
                taken.append(await self._take(self.session, waiting.pop(0), fetched))
        finally:
            for ref in waiting:
                if ref.HasField("region"):
                    with suppress(LunaError):
                        await self.session.planes.release(ref.region)
            if fetched:
                with suppress(LunaError):  # the end of the session frees them too
                    await self._transfer(self.session).free(fetched)
        return taken

    async def take_one(self, ref: tensor_pb2.TensorRef) -> Tensor:
        return (await self.take([ref]))[0].tensor

    async def _take(self, session: Session, ref: tensor_pb2.TensorRef, fetched: list[str]) -> Taken:
        dtype, shape = DTYPES[ref.spec.dtype], tuple(ref.spec.shape)
        place, size = ref.WhichOneof("place"), byte_size(dtype, shape)
        if place == "resident_id" and self._keep:
            return Taken(self._resident(session, ref), "resident")
        if place == "resident_id":
            fetched.append(ref.resident_id)
            data, plane = await self._transfer(session).download(
                ref.resident_id, size, self._form.kind
            )
            return Taken(from_bytes(dtype, shape, data, self._form), plane)
        if self.direct:
            data, plane = ref.inline, "step"
        elif place == "region":
            data, plane = await session.planes.take(ref.region, size, self._form.kind), "shm"
        else:
            data, plane = ref.inline if place == "inline" else bytes(size), "inline"
        session.planes.statistics.received(plane, size)
        return Taken(from_bytes(dtype, shape, data, self._form), plane)

    def _resident(self, session: Session, ref: tensor_pb2.TensorRef) -> ResidentTensor:
        return ResidentTensor(
            ref.resident_id,
            tuple(ref.spec.shape),
            DTYPES[ref.spec.dtype],
            self._workflow_id,
            session.id,
            self._link.free_later,
        )

    async def progress(self, wire: sampling_pb2.SampleProgress) -> Progress:
        """With its preview in the caller's kind of array."""
        preview = (await self.take([wire.preview]))[0].tensor if wire.preview.spec.shape else None
        return Progress(wire.step, wire.steps, wire.sigma, wire.rows_in_batch, preview)

    async def upload(self, tensor: TensorInput) -> ResidentTensor:
        """Puts a tensor on the server."""
        outgoing = Outgoing()
        outgoing.add(tensor_pb2.TensorRef(), tensor, "tensor")
        if outgoing.residents:
            return outgoing.residents[0].tensor  # type: ignore[no-any-return]
        item = outgoing.items[0]

        async def begin(session: Session) -> ResidentTensor:
            resident_id, _ = await self._transfer(session).upload(item.host)
            return ResidentTensor(
                resident_id,
                item.host.shape,
                item.host.dtype,
                self._workflow_id,
                session.id,
                self._link.free_later,
            )

        return await self._attempt(begin, Outgoing())

    async def download(self, tensor: ResidentTensor, tensors: TensorKind | None) -> Tensor:
        """The values of a resident tensor."""
        form = Form(tensors) if tensors else self._form

        async def begin(session: Session) -> Tensor:
            if tensor.session != session.id:
                raise SessionLost(f"{tensor!r} ended with its session; make it again")
            data, _ = await self._transfer(session).download(
                tensor.id, byte_size(tensor.dtype, tensor.shape), form.kind
            )
            return from_bytes(tensor.dtype, tensor.shape, data, form)

        return await self._attempt(begin, Outgoing())

    async def free(self, tensors: Sequence[ResidentTensor]) -> int:
        """Bytes freed."""
        session = await self._enter(Outgoing())
        freed = 0
        for tensor in tensors:
            if tensor.freed or tensor.session != session.id:
                continue
            tensor.forget()
            self._workflow_id = tensor.workflow_id
            freed += await self._transfer(session).free([tensor.id])
        return freed
