"""What a Luna Model Router was asked for: model types, their slots, and the files in them."""

from dataclasses import dataclass
from pathlib import Path

import folder_paths
import luna_client
from comfy.cli_args import LatentPreviewMethod, args

FROM_CHECKPOINT = "from checkpoint"
SOURCES = ("checkpoints", "diffusion_models", "unet")
PRECISIONS = {"auto": "auto", "f32": "f32", "bf16": "bf16", "fp16": "f16"}


@dataclass(frozen=True)
class ModelType:
    """A row of the table that the node's field offers."""

    name: str
    # The daemon's slot for each of the node's clip fields; empty: the field is not used.
    clips: tuple[str, str, str, str]
    # Of comfy.sd.CLIPType.
    clip_type: str
    # The daemon's name of the UNet's family; empty: not served yet.
    family: str = ""
    # How the file of its TAESD decoder begins, in ComfyUI's latent_formats.
    preview: str = ""

    @property
    def encoders(self) -> list[tuple[int, str]]:
        """(number of the field, slot) of those that a model of this type needs."""
        return [(number, slot) for number, slot in enumerate(self.clips, 1) if slot]


TYPES = {
    entry.name: entry
    for entry in (
        ModelType("SD1.5", ("clip_l", "", "", ""), "STABLE_DIFFUSION", "sd1", "taesd_decoder"),
        ModelType(
            "SDXL", ("clip_l", "clip_g", "", ""), "STABLE_DIFFUSION", "sdxl", "taesdxl_decoder"
        ),
        ModelType("SDXL + Vision", ("clip_l", "clip_g", "", "vision"), "STABLE_DIFFUSION"),
        ModelType("Flux", ("clip_l", "", "t5", ""), "FLUX"),
        ModelType("Flux + Vision", ("clip_l", "", "t5", "vision"), "FLUX"),
        ModelType("SD3", ("clip_l", "clip_g", "t5", ""), "SD3"),
        ModelType("Z-IMAGE", ("llm", "", "", ""), "LUMINA2"),
    )
}


class WrongChoice(ValueError):
    """The node's fields do not go together; the text says which and what to choose."""


@dataclass(frozen=True)
class ModelChoice:
    """The node's fields. Files are named as ComfyUI lists them."""

    type: ModelType
    source: str
    name: str
    clips: tuple[str, str, str, str]
    vae: str
    precision: str = "auto"

    @property
    def is_checkpoint(self) -> bool:
        return self.source == "checkpoints"

    def check(self) -> None:
        """One error for all that is missing."""
        missing = [
            f"clip_{number} ({slot})"
            for number, slot in self.type.encoders
            if self.clips[number - 1] == FROM_CHECKPOINT
            and (slot == "vision" or not self.is_checkpoint)
        ]
        if not self.is_checkpoint and self.vae == FROM_CHECKPOINT:
            missing.append("vae_name")
        if missing:
            raise WrongChoice(
                f"{self.name} is {'a' if self.is_checkpoint else 'no'} checkpoint: a "
                f"{self.type.name} model needs a file in {', '.join(missing)}"
            )

    def check_served(self) -> None:
        served = [entry.name for entry in TYPES.values() if entry.family]
        if not self.type.family:
            raise WrongChoice(
                f"Luna's daemon does not serve {self.type.name} yet (it has {', '.join(served)}); "
                "choose daemon_mode auto or force_local, which load it here"
            )

    def chosen_clips(self) -> list[tuple[str, str]]:
        """(slot, file) of the encoders that come from files of their own."""
        return [
            (slot, self.clips[number - 1])
            for number, slot in self.type.encoders
            if self.clips[number - 1] != FROM_CHECKPOINT
        ]

    def local_path(self) -> str | None:
        """Of the model itself, where this machine has it."""
        folder = "checkpoints" if self.is_checkpoint else "diffusion_models"
        return folder_paths.get_full_path(folder, self.name)

    def daemon_models(self, same_host: bool) -> dict[str, luna_client.ModelRef]:
        """Slot -> file, as luna_client registers it. A daemon of this machine gets the very files
        that ComfyUI lists; another one looks below its own roots."""
        precision = PRECISIONS[self.precision]
        folder = "checkpoints" if self.is_checkpoint else "diffusion_models"
        models = {
            "checkpoint" if self.is_checkpoint else "unet": _reference(
                folder, self.name, precision, same_host
            )
        }
        for slot, file in self.chosen_clips():
            models[slot] = _reference("text_encoders", file, precision, same_host)
        if self.vae != FROM_CHECKPOINT:
            models["vae"] = _reference("vae", self.vae, precision, same_host)
        if same_host and (decoder := self._preview_decoder()):
            models["preview"] = _reference("vae_approx", decoder, "auto", same_host)
        return models

    def _preview_decoder(self) -> str | None:
        """Of ComfyUI's own TAESD previews, when it makes such. The daemon reads no pickles."""
        if args.preview_method != LatentPreviewMethod.TAESD or not self.type.preview:
            return None
        for file in folder_paths.get_filename_list("vae_approx"):
            if file.startswith(self.type.preview) and file.endswith((".safetensors", ".sft")):
                return file
        return None


def _reference(folder: str, name: str, precision: str, same_host: bool) -> luna_client.ModelRef:
    path = folder_paths.get_full_path(folder, name) if same_host else None
    return luna_client.ModelRef(str(Path(path).resolve()) if path else name, precision)
