"""From a choice to the three objects on the links: MODEL, CLIP and VAE over one registered
workflow."""

from dataclasses import dataclass
from typing import Any

import comfy.model_management
import folder_paths
import luna_client

from . import meta_model
from .checkpoint_tensors import StateDict, from_header, from_inspection
from .connection import session
from .fallback import FallbackCLIP, FallbackVAE
from .local_models import LocalModels
from .model_choice import ModelChoice
from .remote_model import RemotePatcher, make_remote
from .served_model import ServedModel


@dataclass(frozen=True)
class Loaded:
    model: Any
    clip: Any
    vae: Any
    status: str


def _tensors(luna: luna_client.Luna, choice: ModelChoice) -> tuple[StateDict, dict[str, str]]:
    """Of the model's file: from its header where this machine has it, else from the daemon."""
    path = choice.local_path()
    if path and path.endswith((".safetensors", ".sft")):
        return from_header(path)
    return from_inspection(luna.models.inspect(choice.name, tensors=True).tensors), {}


def _describe(served: ServedModel, luna: luna_client.Luna) -> str:
    parts = [f"{part.family}: {part.description}" for part in served.components]
    return "\n".join(
        [f"on the daemon, workflow {served.workflow_id}", f"at {luna.address}", *parts]
    )


def from_daemon(choice: ModelChoice, address: str, workflow_id: str, may_fall_back: bool) -> Loaded:
    """Registers the files and makes the proxies; no weight is read here. luna_client's errors where
    the daemon is away or refuses a file."""
    luna = session(address)
    models = choice.daemon_models(same_host=luna.address.startswith("unix:"))
    workflow = luna.register_workflow(
        models, workflow_id=workflow_id or None, model_type=choice.type.name
    )
    served = ServedModel(luna, workflow, LocalModels(choice) if may_fall_back else None)
    tensors, metadata = _tensors(luna, choice)
    device = comfy.model_management.get_torch_device()
    model = make_remote(meta_model.build(tensors, metadata, choice.type.family, device), served)
    clip = meta_model.text_encoder(model, tensors, folder_paths.get_folder_paths("embeddings"))
    return Loaded(
        RemotePatcher.over(model, device),
        FallbackCLIP.over(clip, served),
        FallbackVAE(served),
        _describe(served, luna),
    )


def from_here(choice: ModelChoice, why: str) -> Loaded:
    """Through ComfyUI's own loaders."""
    local = LocalModels(choice)
    return Loaded(local.model(), local.clip(), local.vae(), f"in this ComfyUI ({why})")
