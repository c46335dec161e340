"""ComfyUI's own model classes without weights: what stock nodes look at, and what a LoRA's names
are matched with."""

from typing import Any

import comfy.model_base
import comfy.model_detection
import comfy.ops
import comfy.sd
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch

from .checkpoint_tensors import StateDict

Config = comfy.supported_models_base.BASE

META = torch.device("meta")
_FAMILIES: dict[str, type[Config]] = {
    "sd1": comfy.supported_models.SD15,
    "sdxl": comfy.supported_models.SDXL,
}


class UnknownModel(ValueError):
    """ComfyUI's detection does not know the file."""


def _match(
    unet_config: dict[str, Any] | None,
    tensors: StateDict,
    prefix: str,
    fallback: type[Config] | None,
) -> Config | None:
    """The configuration that ComfyUI's loaders would take; of widths and depths that they do not
    know, and Luna does, the family's own."""
    if unet_config is None:
        return None
    for config in comfy.supported_models.models:
        if config.matches(unet_config, tensors, prefix):
            return config(unet_config)
    return fallback(unet_config) if fallback else None


def _detect(
    tensors: StateDict, metadata: dict[str, str], family: str
) -> tuple[Config, StateDict, str]:
    """(configuration, tensors, prefix of the diffusion model), as comfy/sd.py finds them for
    checkpoints and for diffusion models alone."""
    fallback = _FAMILIES.get(family)
    prefix = comfy.model_detection.unet_prefix_from_state_dict(tensors)
    unet = comfy.model_detection.detect_unet_config(tensors, prefix, metadata=metadata)
    config = _match(unet, tensors, prefix, fallback)
    if config is not None:
        return config, tensors, prefix
    bare = (
        comfy.utils.state_dict_prefix_replace(tensors.copy(), {prefix: ""}, filter_keys=True)
        or tensors
    )
    unet = comfy.model_detection.detect_unet_config(bare, "", metadata=metadata)
    config = _match(
        unet, bare, "", fallback
    ) or comfy.model_detection.model_config_from_diffusers_unet(bare)
    if config is None:
        raise UnknownModel(
            "this ComfyUI does not know the model: its loaders would refuse it as well"
        )
    return config, bare, ""


def build(
    tensors: StateDict, metadata: dict[str, str], family: str, load_device: torch.device
) -> comfy.model_base.BaseModel:
    """The class that ComfyUI's loaders would choose, on "meta". Its sampling tables are real
    tensors."""
    config, tensors, prefix = _detect(tensors, metadata, family)
    config.set_inference_dtype(torch.float32, None)
    # Plain operations: no checks of what a device can do, for a device that has nothing to do.
    config.custom_operations = comfy.ops.disable_weight_init
    model = config.get_model(tensors, prefix, device=META)
    model.device = load_device
    _fit_weights(
        model.diffusion_model,
        {
            name[len(prefix) :]: tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        },
    )
    return model


def _fit_weights(network: torch.nn.Module, tensors: StateDict) -> None:
    """A width that ComfyUI's detection rounds gives another shape, or a layer less: LoRAs look for
    those of the file."""
    shapes = {name: weight.shape for name, weight in network.named_parameters()}
    for name, tensor in tensors.items():
        path, _, parameter = name.rpartition(".")
        if parameter not in ("weight", "bias") or shapes.get(name) == tensor.shape:
            continue
        layer = network
        for part in path.split("."):
            if part not in layer._modules:
                layer.add_module(part, torch.nn.Module())
            layer = layer._modules[part]
        setattr(layer, parameter, torch.nn.Parameter(tensor.to(META), requires_grad=False))


def text_encoder(
    model: comfy.model_base.BaseModel, tensors: StateDict, embedding_folders: list[str]
) -> comfy.sd.CLIP:
    """ComfyUI's tokenizer, and its text encoder on "meta"."""
    target = model.model_config.clip_target(state_dict=tensors)
    if target is None:
        raise UnknownModel(f"this ComfyUI knows no text encoder for {type(model).__name__}")
    clip = comfy.sd.CLIP(
        target,
        embedding_directory=embedding_folders,
        disable_dynamic=True,
        model_options={"initial_device": META, "dtype": torch.float32},
    )
    _fit_embeddings(clip.tokenizer, model.model_config.process_clip_state_dict(dict(tensors)))
    return clip


def _fit_embeddings(tokenizer: Any, encoders: StateDict) -> None:
    """Textual inversions must be as wide as this file's encoders, which may be others than the
    family's usual ones."""
    ending = ".transformer.text_model.embeddings.token_embedding.weight"
    for name, tensor in encoders.items():
        encoder = (
            getattr(tokenizer, name.removesuffix(ending), None) if name.endswith(ending) else None
        )
        if encoder is not None:
            encoder.embedding_size = tensor.shape[1]
