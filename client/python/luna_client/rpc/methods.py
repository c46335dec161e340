"""The calls of proto/luna/v1, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from luna_client.v1 import (
    adapters_pb2,
    models_pb2,
    primitives_pb2,
    sampling_pb2,
    session_pb2,
    status_pb2,
    tensor_pb2,
    workflow_pb2,
)

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """ "/luna.v1.Service/Name" with its messages."""

    path: str
    request: type[Request]
    response: type[Response]


def _of(
    service: str, name: str, request: type[Request], response: type[Response]
) -> Method[Request, Response]:
    return Method(f"/luna.v1.{service}/{name}", request, response)


ATTEND = _of("Sessions", "Attend", session_pb2.SessionRequest, session_pb2.SessionResponse)

TOKENIZE = _of(
    "Primitives", "Tokenize", primitives_pb2.TokenizeRequest, primitives_pb2.TokenizeResponse
)
ENCODE_TEXT = _of(
    "Primitives", "EncodeText", primitives_pb2.EncodeTextRequest, primitives_pb2.EncodeTextResponse
)
VAE_ENCODE = _of(
    "Primitives", "VaeEncode", primitives_pb2.VaeEncodeRequest, primitives_pb2.VaeEncodeResponse
)
VAE_DECODE = _of(
    "Primitives", "VaeDecode", primitives_pb2.VaeDecodeRequest, primitives_pb2.VaeDecodeResponse
)
DENOISE = _of("Primitives", "Denoise", sampling_pb2.DenoiseRequest, sampling_pb2.DenoiseResponse)
SAMPLE = _of("Primitives", "Sample", sampling_pb2.SampleRequest, sampling_pb2.SampleResponse)

UPLOAD = _of("Tensors", "Upload", tensor_pb2.UploadTensorRequest, tensor_pb2.UploadTensorResponse)
DOWNLOAD = _of(
    "Tensors", "Download", tensor_pb2.DownloadTensorRequest, tensor_pb2.DownloadTensorResponse
)
FREE = _of("Tensors", "Free", tensor_pb2.FreeTensorRequest, tensor_pb2.FreeTensorResponse)

REGISTER = _of(
    "Workflows",
    "Register",
    workflow_pb2.RegisterWorkflowRequest,
    workflow_pb2.RegisterWorkflowResponse,
)
RENEW = _of(
    "Workflows", "Renew", workflow_pb2.RenewWorkflowRequest, workflow_pb2.RenewWorkflowResponse
)
RELEASE = _of(
    "Workflows",
    "Release",
    workflow_pb2.ReleaseWorkflowRequest,
    workflow_pb2.ReleaseWorkflowResponse,
)
LIST_WORKFLOWS = _of(
    "Workflows", "List", workflow_pb2.ListWorkflowsRequest, workflow_pb2.ListWorkflowsResponse
)

LIST_MODELS = _of("Models", "List", models_pb2.ListModelsRequest, models_pb2.ListModelsResponse)
INSPECT_MODEL = _of(
    "Models", "Inspect", models_pb2.InspectModelRequest, models_pb2.InspectModelResponse
)
LOAD_MODEL = _of("Models", "Load", models_pb2.LoadModelRequest, models_pb2.LoadModelResponse)
UNLOAD_MODEL = _of(
    "Models", "Unload", models_pb2.UnloadModelRequest, models_pb2.UnloadModelResponse
)
OFFLOAD_MODEL = _of(
    "Models", "Offload", models_pb2.OffloadModelRequest, models_pb2.OffloadModelResponse
)
RESTORE_MODEL = _of(
    "Models", "Restore", models_pb2.RestoreModelRequest, models_pb2.RestoreModelResponse
)
PIN_MODEL = _of("Models", "Pin", models_pb2.PinModelRequest, models_pb2.PinModelResponse)
UNPIN_MODEL = _of("Models", "Unpin", models_pb2.UnpinModelRequest, models_pb2.UnpinModelResponse)

UPLOAD_ADAPTER = _of(
    "Adapters", "Upload", adapters_pb2.UploadAdapterRequest, adapters_pb2.UploadAdapterResponse
)
GET_STATUS = _of("Status", "Get", status_pb2.GetStatusRequest, status_pb2.GetStatusResponse)
