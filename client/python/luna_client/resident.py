"""Tensors that stay on the server."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import TracebackType

from luna_client.errors import InvalidRequest


class ResidentTensor:
    """A tensor on the server, in the session that made it. Wherever a call takes a tensor it takes
    one of these; no byte travels then. It is freed by free(), at the end of a with-block, with the
    object, or with the session.

    `id`, `shape`, `dtype` ("f32", "u8", ...) and `workflow_id` may be read.
    """

    def __init__(
        self,
        id: str,
        shape: tuple[int, ...],
        dtype: str,
        workflow_id: str,
        session: str,
        free: Callable[[str, str, str], None],
    ) -> None:
        self.id = id
        self.shape = shape
        self.dtype = dtype
        self.workflow_id = workflow_id
        self.session = session
        self._owner: ResidentTensor | None = None
        self._free = weakref.finalize(self, free, session, workflow_id, id)
        self._free.atexit = False

    def reshape(self, *shape: int) -> ResidentTensor:
        """The same tensor under another shape of as many elements; it is freed with the last of
        them."""
        count = wanted = 1
        for axis in self.shape:
            count *= axis
        for axis in shape:
            wanted *= axis
        if count != wanted:
            raise InvalidRequest(
                f"a resident tensor {list(self.shape)} cannot be seen as {list(shape)}: "
                f"{count} elements are not {wanted}"
            )
        view = ResidentTensor(self.id, shape, self.dtype, self.workflow_id, self.session, _nothing)
        view._owner = self._owner or self
        return view

    @property
    def freed(self) -> bool:
        return self._owner.freed if self._owner else not self._free.alive

    def free(self) -> None:
        """Gives it back; does not wait for the server. A second time does nothing."""
        (self._owner or self)._free()

    def forget(self) -> None:
        """The server has freed it already."""
        (self._owner or self)._free.detach()

    def __enter__(self) -> ResidentTensor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.free()

    def __repr__(self) -> str:
        state = ", freed" if self.freed else ""
        return f"ResidentTensor({self.dtype}{list(self.shape)}, {self.id!r}{state})"


def _nothing(session: str, workflow_id: str, id: str) -> None:
    """A view owns nothing."""
