"""From PyTorch's tuple to a CudaHandle, as docs/gpu.md describes it. Never run on a GPU."""

import types
from typing import ClassVar

import pytest

import luna_client
from luna_client.planes import cuda

UUID = "GPU-6a5e6c1c-0000-0000-0000-000000000001"
PLAIN = bytes(range(64))
EVENT = b"\x11" * 64


def shared(handle=PLAIN, event_needed=True, storage_offset=512):
    return (
        0,
        handle,
        4096,
        storage_offset,
        b"counter",
        24,
        EVENT if event_needed else bytes(64),
        event_needed,
    )


def test_offsets_of_storage_and_tensor_add_up_in_bytes():
    handle = cuda.SharedStorage.of(shared()).handle_at(128, UUID)
    assert handle.offset == 640
    assert (handle.device_uuid, handle.handle, handle.event_handle) == (UUID, PLAIN, EVENT)
    assert handle.allocation_size == 0, "the driver knows it"


def test_an_event_that_is_not_needed_is_not_named():
    assert cuda.SharedStorage.of(shared(event_needed=False)).handle_at(0, UUID).event_handle == b""


def test_the_two_bytes_before_a_handle_go_along():
    handle = cuda.SharedStorage.of(shared(b"\x01c" + PLAIN)).handle_at(0, UUID)
    assert handle.handle == b"\x01c" + PLAIN


@pytest.mark.parametrize("handle", [None, b"\x01e" + PLAIN])
def test_memory_that_cannot_be_opened_elsewhere_has_to_be_copied(handle):
    assert cuda.SharedStorage.of(shared(handle)).handle_at(0, UUID) is None


def test_a_handle_of_another_length_is_told():
    with pytest.raises(luna_client.InvalidRequest, match="63 bytes"):
        cuda.SharedStorage.of(shared(PLAIN[:63])).handle_at(0, UUID)


def test_a_tuple_of_another_pytorch_is_told():
    with pytest.raises(luna_client.InvalidRequest, match="gave 7 values"):
        cuda.SharedStorage.of(shared()[:7])


class Storage:
    """Stands for an UntypedStorage."""

    released: ClassVar[list] = []

    def __init__(self, handle=PLAIN):
        self.handle = handle

    def _share_cuda_(self):
        return shared(self.handle)

    @classmethod
    def _release_ipc_counter(cls, counter, offset, device):
        cls.released.append((counter, offset, device))


def tensor_of(storage, contiguous=True):
    return types.SimpleNamespace(
        is_contiguous=lambda: contiguous,
        untyped_storage=lambda: storage,
        storage_offset=lambda: 10,
        element_size=lambda: 4,
    )


def test_a_shared_tensor_is_released_once_its_call_was_answered(monkeypatch):
    devices = types.SimpleNamespace(
        get_device_properties=lambda index: types.SimpleNamespace(uuid=UUID[4:])
    )
    monkeypatch.setitem(cuda.sys.modules, "torch", types.SimpleNamespace(cuda=devices))
    handle, done = cuda.share(tensor_of(Storage()))
    assert (handle.device_uuid, handle.offset) == (UUID, 552)
    assert Storage.released == []
    done()
    assert Storage.released == [(b"counter", 24, 0)]
    nothing, done = cuda.share(tensor_of(Storage(None)))
    done()
    assert nothing is None and len(Storage.released) == 1


def test_strides_are_refused():
    with pytest.raises(luna_client.InvalidRequest, match="contiguous"):
        cuda.share(tensor_of(Storage(), contiguous=False))


def test_no_torch_means_no_gpu(monkeypatch):
    monkeypatch.delitem(cuda.sys.modules, "torch", raising=False)
    assert cuda.visible_devices() == []
