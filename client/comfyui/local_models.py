"""The same choice through ComfyUI's own loaders: force_local, and what auto falls back to."""

import threading
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import nodes
import torch

from .model_choice import FROM_CHECKPOINT, ModelChoice

_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class LocalModels:
    """Loaded at first use, each part once."""

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice
        self._lock = threading.RLock()
        self._parts: dict[str, Any] = {}

    def model(self) -> Any:
        return self._part("model")

    def clip(self) -> Any:
        return self._part("clip")

    def vae(self) -> Any:
        return self._part("vae")

    def _part(self, name: str) -> Any:
        with self._lock:
            if name not in self._parts:
                self._parts.update(self._load(name))
            return self._parts[name]

    def _load(self, name: str) -> dict[str, Any]:
        choice = self._choice
        if name == "clip" and choice.chosen_clips():
            return {"clip": self._load_clips()}
        if name == "vae" and choice.vae != FROM_CHECKPOINT:
            return {"vae": nodes.VAELoader().load_vae(choice.vae)[0]}
        options = {} if choice.precision == "auto" else {"dtype": _DTYPES[choice.precision]}
        if not choice.is_checkpoint:
            path = folder_paths.get_full_path_or_raise("diffusion_models", choice.name)
            return {"model": comfy.sd.load_diffusion_model(path, model_options=options)}
        path = folder_paths.get_full_path_or_raise("checkpoints", choice.name)
        model, clip, vae, *_ = comfy.sd.load_checkpoint_guess_config(
            path,
            output_vae=choice.vae == FROM_CHECKPOINT,
            output_clip=not choice.chosen_clips(),
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
            model_options=options,
        )
        loaded = {"model": model, "clip": clip, "vae": vae}
        return {
            part: value
            for part, value in loaded.items()
            if value is not None and part not in self._parts
        }

    def _load_clips(self) -> Any:
        files = [file for slot, file in self._choice.chosen_clips() if slot != "vision"]
        paths = [folder_paths.get_full_path_or_raise("text_encoders", file) for file in files]
        kind = getattr(comfy.sd.CLIPType, self._choice.type.clip_type)
        return comfy.sd.load_clip(
            ckpt_paths=paths,
            clip_type=kind,
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
        )
