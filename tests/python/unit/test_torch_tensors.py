"""torch tensors as bytes and back."""

import numpy as np
import pytest

from luna_client.tensors import Form, empty_over, form_of, from_bytes, host_bytes, join, like, stack

torch = pytest.importorskip("torch", reason="no torch in this Python", exc_type=ImportError)
TORCH = Form("torch")


@pytest.mark.parametrize(
    "name",
    [
        "float32",
        "float16",
        "bfloat16",
        "float64",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
        "float8_e4m3fn",
        "float8_e5m2",
    ],
)
def test_every_type_goes_there_and_back(name):
    tensor = torch.arange(12).reshape(3, 4).to(getattr(torch, name))
    host = host_bytes(tensor, "x")
    back = from_bytes(host.dtype, host.shape, host.data.tobytes(), TORCH)
    assert back.dtype == tensor.dtype
    assert torch.equal(back.to(torch.float64), tensor.to(torch.float64))


def test_a_contiguous_tensor_is_not_copied():
    tensor = torch.zeros(4, 5)
    assert host_bytes(tensor, "x").address == tensor.data_ptr()
    assert host_bytes(tensor[1], "x").address == tensor[1].data_ptr()


def test_strides_and_gradients_are_no_matter():
    tensor = torch.arange(6.0, requires_grad=True).reshape(2, 3).T
    host = host_bytes(tensor, "x")
    assert torch.equal(from_bytes(host.dtype, host.shape, host.data.tobytes(), TORCH), tensor)


def test_read_only_bytes_become_memory_of_the_tensors_own():
    tensor = from_bytes("f32", (2,), bytes(8), TORCH)
    tensor += 1
    assert tensor.tolist() == [1, 1]


def test_writable_memory_is_used_as_it_lies():
    memory = bytearray(8)
    empty_over("f32", (2,), memory, "torch")[:] = 1
    assert memory == np.ones(2, np.float32).tobytes()


def test_empty_and_scalar_tensors_have_their_shapes():
    assert from_bytes("f32", (0, 4), b"", TORCH).shape == (0, 4)
    assert host_bytes(torch.tensor(3.0), "x").shape == ()


def test_results_are_of_the_kind_and_device_of_what_went_in():
    assert form_of(torch.zeros(1)) == Form("torch", "cpu")
    assert isinstance(like(torch.zeros(1), np.zeros(2)), torch.Tensor)
    assert stack([torch.zeros(2), torch.ones(2)]).shape == (2, 2)
    assert join([torch.zeros(1, 2), torch.ones(1, 2)]).shape == (2, 2)
