"""GPU memory of this process as a CudaHandle that another process can open: what docs/gpu.md says
of `UntypedStorage._share_cuda_()`. Never run on a GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from luna_client.errors import InvalidRequest
from luna_client.v1 import tensor_pb2

_HANDLE_BYTES = 64
#: PyTorch 2.5 and later put a version byte and this one before a handle of cudaMalloc's.
_PLAIN = ord("c")


@dataclass(frozen=True)
class SharedStorage:
    """The tuple of `_share_cuda_()`, with names. Offsets are bytes."""

    device: int
    handle: bytes | None
    storage_bytes: int
    storage_offset: int
    ref_counter: bytes
    ref_counter_offset: int
    event: bytes
    event_needed: bool

    @classmethod
    def of(cls, shared: Sequence[Any]) -> SharedStorage:
        """InvalidRequest for a tuple of another length: of a PyTorch that is not known here."""
        if len(shared) != 8:
            raise InvalidRequest(
                f"UntypedStorage._share_cuda_() gave {len(shared)} values, 8 were expected: this "
                'PyTorch is not known; connect with plane="shm"'
            )
        return cls(*shared)

    def handle_at(self, offset: int, device_uuid: str) -> tensor_pb2.CudaHandle | None:
        """Of a tensor that begins `offset` bytes into the storage. None: its memory cannot be
        opened elsewhere (no elements, or an allocator of expandable segments); it has to be
        copied. device_uuid: "GPU-..."."""
        handle = self.handle
        if handle is None:
            return None
        if len(handle) == _HANDLE_BYTES + 2:
            if handle[1] != _PLAIN:
                return None
        elif len(handle) != _HANDLE_BYTES:
            raise InvalidRequest(
                f"a CUDA IPC handle of {len(handle)} bytes; 64 or 66 were expected"
            )
        return tensor_pb2.CudaHandle(
            device_uuid=device_uuid,
            handle=handle,
            # PyTorch tells the storage's size, not the allocation's; the driver knows it.
            allocation_size=0,
            offset=self.storage_offset + offset,
            event_handle=self.event if self.event_needed else b"",
        )


def visible_devices() -> list[str]:
    """UUIDs ("GPU-...") of the GPUs that this process's torch can use; torch is not imported for
    the question."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [device_uuid(torch, index) for index in range(torch.cuda.device_count())]


def device_uuid(torch: Any, index: int) -> str:
    """As the driver prints it."""
    return f"GPU-{torch.cuda.get_device_properties(index).uuid}"


def share(tensor: Any) -> tuple[tensor_pb2.CudaHandle | None, Callable[[], None]]:
    """(handle of a contiguous CUDA tensor, what to call when the call that names it has been
    answered). PyTorch keeps the block until then. The event is recorded on the current stream
    now; what is written later needs another one."""
    if not tensor.is_contiguous():
        raise InvalidRequest("a CUDA tensor is shared as it lies: it has to be contiguous")
    torch: Any = sys.modules["torch"]
    storage = tensor.untyped_storage()
    shared = SharedStorage.of(storage._share_cuda_())

    def done() -> None:
        if shared.handle is not None:
            type(storage)._release_ipc_counter(
                shared.ref_counter, shared.ref_counter_offset, device=shared.device
            )

    offset = tensor.storage_offset() * tensor.element_size()
    return shared.handle_at(offset, device_uuid(torch, shared.device)), done
