"""The tensors of a request that still need a place."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from luna_client.resident import ResidentTensor
from luna_client.tensors import DTYPES, Form, HostBytes, form_of, host_bytes
from luna_client.v1 import tensor_pb2


@dataclass
class Item:
    """A tensor, and the part of the request that shall name it."""

    ref: tensor_pb2.TensorRef
    tensor: Any
    name: str

    @functools.cached_property
    def host(self) -> HostBytes:
        return host_bytes(self.tensor, self.name)


class Outgoing:
    """Collects tensors while a request is made; a session's planes give them places then."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.residents: list[Item] = []
        #: Of the first array that was added: what the call gives back.
        self.form: Form | None = None

    def add(self, ref: tensor_pb2.TensorRef, tensor: Any, name: str) -> None:
        """`ref` is part of the request and is filled in when the places are known.
        InvalidRequest names the tensor."""
        if isinstance(tensor, ResidentTensor):
            self.residents.append(Item(ref, tensor, name))
            set_spec(ref, tensor.dtype, tensor.shape)
            return
        item = Item(ref, tensor, name)
        set_spec(ref, item.host.dtype, item.host.shape)
        self.items.append(item)
        self.form = self.form or form_of(tensor)


def set_spec(ref: tensor_pb2.TensorRef, dtype: str, shape: tuple[int, ...]) -> None:
    """Type and shape."""
    ref.spec.CopyFrom(
        tensor_pb2.TensorSpec(dtype=tensor_pb2.DType.Name(DTYPES.index(dtype)), shape=shape)
    )
