"""Luna Reset Model Weights: a model without the LoRAs that nodes before it have added."""

import uuid
from typing import Any


def _without_patches(patcher: Any) -> None:
    patcher.patches = {}
    patcher.hook_patches = {}
    patcher.patches_uuid = uuid.uuid4()


class LunaResetModelWeights:
    """Exact: Luna's daemon keeps the weights as they are in the file, and LoRAs are named by each
    call. Nothing is subtracted."""

    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "reset"
    CATEGORY = "Luna"
    DESCRIPTION = "The same model (and CLIP) without LoRAs."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",)}, "optional": {"clip": ("CLIP",)}}

    def reset(self, model: Any, clip: Any = None) -> tuple[Any, Any]:
        model = model.clone()
        _without_patches(model)
        if clip is not None:
            clip = clip.clone()
            _without_patches(clip.patcher)
        return model, clip
