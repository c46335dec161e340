"""Luna Model Router: one loader for every model type, from the daemon or from here."""

import logging
from typing import Any

import folder_paths
import luna_client
from comfy_execution.graph_utils import ExecutionBlocker

from . import connection, proxies
from .meta_model import UnknownModel
from .model_choice import FROM_CHECKPOINT, PRECISIONS, SOURCES, TYPES, ModelChoice, WrongChoice
from .progress_text import show

log = logging.getLogger("luna")

MODES = ("auto", "force_daemon", "force_local")


def _names(*folders: str) -> list[str]:
    """What ComfyUI has in these folders, and what the daemon has beyond that."""
    here = [name for folder in folders for name in folder_paths.get_filename_list(folder)]
    there = [name for folder in folders for name in connection.files(folder)]
    return list(dict.fromkeys([*here, *there]))


class LunaModelRouter:
    """See docs/comfyui.md."""

    RETURN_TYPES = ("MODEL", "CLIP", "VAE", "LLM", "CLIP_VISION", "STRING", "STRING")
    RETURN_NAMES = ("MODEL", "CLIP", "VAE", "LLM", "CLIP_VISION", "model_name", "status")
    FUNCTION = "load"
    CATEGORY = "Luna"
    DESCRIPTION = (
        "Loads a model into Luna's daemon, which all ComfyUIs share, or into this ComfyUI."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        encoders = [FROM_CHECKPOINT, *_names("text_encoders")]
        return {
            "required": {
                "model_source": (list(SOURCES), {"tooltip": "The folder that the model lies in."}),
                "model_name": (_names("checkpoints", "diffusion_models"),),
                "model_type": (list(TYPES),),
                "precision": (
                    list(PRECISIONS),
                    {
                        "tooltip": "What the daemon computes in; auto follows the file and the "
                        "device."
                    },
                ),
                "daemon_mode": (
                    list(MODES),
                    {
                        "tooltip": "auto: the daemon, and this ComfyUI when there is none. "
                        "force_daemon: an error when there is none. force_local: this "
                        "ComfyUI."
                    },
                ),
            },
            "optional": {
                "clip_1": (encoders, {"tooltip": "CLIP-L; of Z-IMAGE the language model."}),
                "clip_2": (encoders, {"tooltip": "CLIP-G (SDXL, SD3)."}),
                "clip_3": (encoders, {"tooltip": "T5-XXL (Flux, SD3)."}),
                "clip_4": (
                    [FROM_CHECKPOINT, *_names("clip_vision")],
                    {"tooltip": "Vision encoder."},
                ),
                "vae_name": ([FROM_CHECKPOINT, *_names("vae")],),
                "workflow_id": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "A name of your own for this set of models; empty: "
                        "equal sets share one.",
                    },
                ),
                "daemon_address": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "unix:/path or host:port; empty: $LUNA_ADDRESS, "
                        "else your own daemon.",
                    },
                ),
            },
        }

    @classmethod
    def IS_CHANGED(cls, daemon_mode: str = "auto", daemon_address: str = "", **_: Any) -> str:
        """A daemon that has come or gone since changes what auto gives."""
        if daemon_mode != "auto":
            return ""
        try:
            connection.session(daemon_address).ping(timeout=1.0)
            return "daemon"
        except luna_client.LunaError:
            return "here"

    def load(
        self,
        model_source: str,
        model_name: str,
        model_type: str,
        precision: str,
        daemon_mode: str,
        clip_1: str = FROM_CHECKPOINT,
        clip_2: str = FROM_CHECKPOINT,
        clip_3: str = FROM_CHECKPOINT,
        clip_4: str = FROM_CHECKPOINT,
        vae_name: str = FROM_CHECKPOINT,
        workflow_id: str = "",
        daemon_address: str = "",
    ) -> tuple[Any, ...]:
        choice = ModelChoice(
            TYPES[model_type],
            model_source,
            model_name,
            (clip_1, clip_2, clip_3, clip_4),
            vae_name,
            precision,
        )
        choice.check()
        loaded = self._loaded(choice, daemon_mode, daemon_address.strip(), workflow_id.strip())
        log.info("Luna: %s %s", model_name, loaded.status)
        show(loaded.status.splitlines()[0])
        return (
            loaded.model,
            loaded.clip,
            loaded.vae,
            ExecutionBlocker("Luna serves no language models yet: take the LLM from another node"),
            ExecutionBlocker(
                "Luna serves no vision encoders yet: take CLIP_VISION from Load CLIP Vision"
            ),
            model_name,
            loaded.status,
        )

    @staticmethod
    def _loaded(choice: ModelChoice, mode: str, address: str, workflow_id: str) -> proxies.Loaded:
        if mode == "force_local":
            return proxies.from_here(choice, mode)
        try:
            choice.check_served()
            return proxies.from_daemon(choice, address, workflow_id, may_fall_back=mode == "auto")
        except luna_client.Unavailable as away:
            if mode == "force_daemon":
                raise connection.DaemonGone("there is no Luna daemon", away) from away
            return proxies.from_here(choice, f"no daemon: {away}")
        except (WrongChoice, UnknownModel, luna_client.LunaError) as refusal:
            if mode == "force_daemon":
                raise
            return proxies.from_here(choice, f"the daemon does not serve it: {refusal}")
