"""Arrays as bytes and back."""

import subprocess
import sys

import numpy as np
import pytest

import luna_client
from luna_client.tensors import (
    DTYPES,
    Form,
    byte_size,
    form_of,
    from_bytes,
    host_bytes,
    join,
    row_of,
    stack,
)
from luna_client.v1 import tensor_pb2

NUMPY = Form("numpy")


def test_names_of_types_stand_at_their_numbers_of_the_wire():
    for number, name in enumerate(DTYPES):
        assert tensor_pb2.DType.Name(number) == f"DTYPE_{name.upper()}"


@pytest.mark.parametrize("code", ["<f4", "<f2", "<f8", "<i8", "<i4", "<i2", "i1", "u1", "?"])
def test_every_type_that_numpy_has_goes_there_and_back(code):
    array = np.arange(24).reshape(2, 3, 4).astype(code)
    host = host_bytes(array, "x")
    assert host.data.nbytes == byte_size(host.dtype, host.shape)
    back = from_bytes(host.dtype, host.shape, host.data.tobytes(), NUMPY)
    assert back.dtype == array.dtype and np.array_equal(back, array)


def test_a_contiguous_array_is_not_copied():
    array = np.zeros((4, 5), np.float32)
    assert host_bytes(array, "x").address == array.ctypes.data
    assert host_bytes(array[1:3], "x").address == array.ctypes.data + 20


def test_other_strides_and_byte_orders_become_row_major_and_little_endian():
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    host = host_bytes(array, "x")
    assert host.shape == (3, 2)
    assert np.array_equal(np.frombuffer(host.data.tobytes(), "<f4").reshape(3, 2), array)


def test_a_result_is_read_only_and_keeps_its_memory():
    array = from_bytes("f32", (2,), bytearray(8), NUMPY)
    assert not array.flags.writeable


def test_scalars_and_empty_tensors_have_their_shapes():
    assert host_bytes(np.array(3, np.float32), "x").shape == ()
    assert from_bytes("f32", (), b"\0\0\x80?", NUMPY) == 1
    assert from_bytes("f32", (0, 4), b"", NUMPY).shape == (0, 4)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros(2, np.complex64), "x: element type complex64 does not travel"),
        (np.zeros(2, np.uint32), "uint32"),
        (np.zeros((1,) * 9, np.float32), "at most 8 axes"),
        ([1.0, 2.0], "found list"),
        (None, "found NoneType"),
    ],
)
def test_what_does_not_travel_is_refused_by_its_name(value, said):
    with pytest.raises(luna_client.InvalidRequest, match=said):
        host_bytes(value, "x")


def test_bytes_that_are_not_the_tensor_are_refused():
    with pytest.raises(luna_client.InvalidRequest, match=r"f32\[2\] has 8 bytes, found 4"):
        from_bytes("f32", (2,), b"1234", NUMPY)


def test_numpy_has_no_bf16():
    with pytest.raises(luna_client.InvalidRequest, match="ask for torch"):
        from_bytes("bf16", (2,), b"1234", NUMPY)


def test_what_a_call_gives_follows_the_first_array_that_went_in():
    assert form_of(np.zeros(1)) == NUMPY
    assert form_of("text") is None


def test_rows_are_views_and_one_row_is_stacked_without_a_copy():
    batch = np.zeros((3, 2), np.float32)
    assert np.shares_memory(row_of(batch, 1, 3), batch)
    assert np.shares_memory(stack([batch]), batch) and stack([batch]).shape == (1, 3, 2)
    assert stack([batch, batch]).shape == (2, 3, 2)
    assert join([batch]) is batch and join([batch, batch]).shape == (6, 2)


def test_torch_is_not_imported_for_programs_that_do_not_use_it():
    program = "import sys, luna_client; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_asking_for_torch_where_there_is_none_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(luna_client.InvalidRequest, match="torch cannot be imported"):
        from_bytes("f32", (1,), b"1234", Form("torch"))
