"""Client of Luna, a model server for diffusion image models. docs/python.md teaches it by example.

import luna_client

with luna_client.connect() as luna:
    model, clip, vae = luna.get_model_proxies(models="v1-5.safetensors")
    positive, negative = clip.encode("a red boat at sea"), clip.encode("a house")
    sampled = model.sample((4, 64, 64), positive, negative, seed=1, steps=20)
    pixels = vae.decode(sampled.latent)
"""

from luna_client import aio
from luna_client.client import Luna, connect
from luna_client.conditioning import Area, Conditioning, ConditioningEntry, ConditioningLike
from luna_client.errors import (
    AlreadyExists,
    Cancelled,
    DaemonStopping,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    ForkedProcess,
    InternalError,
    InvalidRequest,
    LunaError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SessionLost,
    Unavailable,
    Unimplemented,
)
from luna_client.generation import Generated, GenerateProgress
from luna_client.lora_file import LoraFile
from luna_client.models import ModelRef, Models, Precision
from luna_client.options import Cancel, PlaneChoice, Priority, TensorKind
from luna_client.planes.report import PlaneReport
from luna_client.proxies import ClipProxy, ModelProxy, Proxies, VaeProxy
from luna_client.resident import ResidentTensor
from luna_client.sampling import (
    AppliedLoras,
    DenoiseResult,
    DenoiseRow,
    Lora,
    LoraApplication,
    Noise,
    OnProgress,
    Progress,
    Row,
    SampleResult,
    SamplerRun,
)
from luna_client.tensors import TensorInput
from luna_client.version import __version__

__all__ = [
    "AlreadyExists",
    "AppliedLoras",
    "Area",
    "Cancel",
    "Cancelled",
    "ClipProxy",
    "Conditioning",
    "ConditioningEntry",
    "ConditioningLike",
    "DaemonStopping",
    "DataLoss",
    "DeadlineExceeded",
    "DenoiseResult",
    "DenoiseRow",
    "FailedPrecondition",
    "ForkedProcess",
    "GenerateProgress",
    "Generated",
    "InternalError",
    "InvalidRequest",
    "Lora",
    "LoraApplication",
    "LoraFile",
    "Luna",
    "LunaError",
    "ModelProxy",
    "ModelRef",
    "Models",
    "Noise",
    "NotFound",
    "OnProgress",
    "PermissionDenied",
    "PlaneChoice",
    "PlaneReport",
    "Precision",
    "Priority",
    "Progress",
    "Proxies",
    "ResidentTensor",
    "ResourceExhausted",
    "Row",
    "SampleResult",
    "SamplerRun",
    "SessionLost",
    "TensorInput",
    "TensorKind",
    "Unavailable",
    "Unimplemented",
    "VaeProxy",
    "__version__",
    "aio",
    "connect",
]
