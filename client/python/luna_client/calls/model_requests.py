"""Model files and workflows as messages of the wire."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from luna_client.errors import InvalidRequest
from luna_client.models import ModelRef, Models, Precision
from luna_client.v1 import models_pb2, workflow_pb2

_PRECISIONS = {
    "auto": models_pb2.PRECISION_AUTO,
    "f32": models_pb2.PRECISION_F32,
    "bf16": models_pb2.PRECISION_BF16,
    "f16": models_pb2.PRECISION_F16,
}


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """The value, if it is known; InvalidRequest lists what is."""
    if value not in known:
        raise InvalidRequest(f"{name} '{value}': expected one of {', '.join(known)}")
    return value


def slot_to_wire(slot: str | None) -> str:
    """ "clip_l" as the wire has it; None: unspecified."""
    names = [
        name[len("SLOT_") :].lower()
        for name in models_pb2.Slot.keys()
        if name != "SLOT_UNSPECIFIED"
    ]
    wire = f"SLOT_{one_of('slot', slot, names).upper()}" if slot is not None else "SLOT_UNSPECIFIED"
    return wire


def precision_to_wire(precision: Precision) -> models_pb2.Precision:
    """ "bf16" as the wire has it."""
    return _PRECISIONS[one_of("precision", precision, _PRECISIONS)]


def model_to_wire(model: str | ModelRef, precision: Precision | None = None) -> models_pb2.ModelRef:
    """A file; `precision` wins over the reference's own."""
    reference = model if isinstance(model, ModelRef) else ModelRef(model)
    return models_pb2.ModelRef(
        file=reference.file, precision=precision_to_wire(precision or reference.precision)
    )


def workflow_to_wire(
    models: Models,
    workflow_id: str | None,
    precision: Mapping[str, Precision],
    ttl: int,
    preload: bool,
) -> workflow_pb2.RegisterWorkflowRequest:
    """A registration; without an id its name is made of the set."""
    files = dict(models) if isinstance(models, Mapping) else {"checkpoint": models}
    if not files:
        raise InvalidRequest(
            'models: expected at least one file, as {"checkpoint": "v1-5.safetensors"}'
        )
    wire = models_pb2.ModelSet()
    for slot, model in files.items():
        if slot == "checkpoint":
            wire.checkpoint.CopyFrom(model_to_wire(model))
        else:
            wire.slots.add(slot=slot_to_wire(slot), model=model_to_wire(model))
    for slot, value in precision.items():
        slot_to_wire(slot)
        wire.slot_precision[slot] = precision_to_wire(value)
    name = (
        workflow_id
        or "py-" + hashlib.sha256(wire.SerializeToString(deterministic=True)).hexdigest()[:16]
    )
    return workflow_pb2.RegisterWorkflowRequest(
        workflow_id=name, models=wire, ttl_seconds=ttl, preload=preload
    )
