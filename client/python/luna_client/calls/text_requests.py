"""ComfyUI's token dictionary as messages of the wire, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from luna_client.errors import InvalidRequest
from luna_client.v1 import primitives_pb2

#: Encoder ("l", "g", "t5xxl") -> chunks -> (id or vector, weight).
Tokens: TypeAlias = Mapping[str, Sequence[Sequence[tuple[Any, float]]]]


def tokens_to_wire(
    tokens: Mapping[str, Sequence[Sequence[tuple[Any, float]]]],
) -> dict[str, primitives_pb2.TokenChunks]:
    """ComfyUI's token dictionary; a pair may carry more (word ids), which says nothing to an
    encoder."""
    wire: dict[str, primitives_pb2.TokenChunks] = {}
    for encoder, chunks in tokens.items():
        made = wire[encoder] = primitives_pb2.TokenChunks()
        for chunk in chunks:
            row = made.chunks.add()
            for token, weight, *_ in chunk:
                if isinstance(token, Mapping):
                    raise InvalidRequest(
                        f"tokens of '{encoder}': an image token is not served by Luna"
                    )
                if hasattr(token, "shape") and len(token.shape) == 1:
                    row.tokens.add(
                        embedding=[float(value) for value in token], weight=float(weight)
                    )
                else:
                    row.tokens.add(id=int(token), weight=float(weight))
    return wire


def tokens_from_wire(
    wire: Mapping[str, primitives_pb2.TokenChunks],
) -> dict[str, list[list[tuple[Any, float]]]]:
    """The other way round."""

    def pair(token: primitives_pb2.Token) -> tuple[Any, float]:
        value: Any = np.array(token.embedding, np.float32) if token.embedding else token.id
        return value, token.weight if token.HasField("weight") else 1.0

    return {
        encoder: [[pair(token) for token in chunk.tokens] for chunk in chunks.chunks]
        for encoder, chunks in wire.items()
    }
