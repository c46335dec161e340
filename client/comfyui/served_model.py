"""A model set that the daemon serves: the one place that talks to luna_client once a workflow is
registered."""

import logging
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import luna_client
import torch

from .adapter_file import adapter_file
from .connection import DaemonGone
from .interrupt import interruptible
from .local_models import LocalModels
from .lora_sets import LoraLayer

Result = TypeVar("Result")
_REMEMBERED_FILES = 256

log = logging.getLogger("luna")


class AdapterNames:
    """Patches -> name of the adapter file that the daemon has of them. Remembers the adapters
    themselves, so that equal ids mean equal patches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple, tuple[str, LoraLayer]] = OrderedDict()

    def name(self, layer: LoraLayer, upload: Callable[[bytes], str]) -> str:
        key = tuple(sorted((name, id(value)) for name, value in layer.patches.items()))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key][0]
        name = upload(adapter_file(layer.patches))
        with self._lock:
            self._known[key] = (name, layer)
            while len(self._known) > _REMEMBERED_FILES:
                self._known.popitem(last=False)
        return name

    def forget(self) -> None:
        with self._lock:
            self._known.clear()


_adapters: dict[int, AdapterNames] = {}


class ServedModel:
    """One registered workflow. Calls raise DaemonGone where the daemon is away, after waiting for
    its restart."""

    def __init__(self, luna: luna_client.Luna, workflow: Any, local: LocalModels | None) -> None:
        self._luna = luna
        self._workflow = workflow
        self._adapters = _adapters.setdefault(id(luna), AdapterNames())
        # What may stand in when the daemon goes; None: nothing (force_daemon).
        self.local = local
        # The model's own way of sampling, as the daemon knows it.
        self.sampling: Any = None
        # How the last sampling was done, for the status.
        self.last_run = ""

    @property
    def workflow_id(self) -> str:
        return self._workflow.workflow_id

    @property
    def components(self) -> list[Any]:
        """What the daemon found in the files."""
        return list(self._workflow.components)

    def loras(self, layers: Sequence[LoraLayer]) -> list[luna_client.Lora]:
        """The set as the daemon takes it; files that it lacks are uploaded."""
        return [
            luna_client.Lora(self._adapters.name(layer, self._upload), layer.strength)
            for layer in layers
            if layer.strength != 0
        ]

    def _upload(self, file: bytes) -> str:
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as copy:
            copy.write(file)
            copy.flush()
            return self._call(
                "uploading a LoRA", lambda cancel: self._luna.loras.upload(copy.name, cancel=cancel)
            )

    def encode(
        self, tokens: Any, clip_skip: int, loras: Sequence[luna_client.Lora]
    ) -> luna_client.ConditioningEntry:
        encoded = self._call(
            "text encoding",
            lambda cancel: self._luna.clip_encode(
                tokens=tokens,
                clip_skip=clip_skip,
                loras=loras,
                workflow_id=self.workflow_id,
                cancel=cancel,
            ),
        )
        for warning in encoded.warnings:
            log.warning("Luna: %s", warning)
        return encoded[0]

    def vae_encode(self, pixels: torch.Tensor, tile: int = 0, overlap: int = 64) -> torch.Tensor:
        return self._call(
            "VAE encoding",
            lambda cancel: self._luna.vae_encode(
                pixels, tile=tile, overlap=overlap, workflow_id=self.workflow_id, cancel=cancel
            ),
        )

    def vae_decode(self, latent: torch.Tensor, tile: int = 0, overlap: int = 64) -> torch.Tensor:
        return self._call(
            "VAE decoding",
            lambda cancel: self._luna.vae_decode(
                latent, tile=tile, overlap=overlap, workflow_id=self.workflow_id, cancel=cancel
            ),
        )

    def denoise(self, rows: Sequence[luna_client.DenoiseRow]) -> torch.Tensor:
        """x0 [n, C, h, w]; with the extra "timestep" the network's own output."""
        return self._call(
            "an evaluation",
            lambda cancel: self._luna.denoise_rows(
                rows, workflow_id=self.workflow_id, cancel=cancel
            ),
        ).batch

    def sample(
        self,
        rows: Sequence[luna_client.Row],
        run: luna_client.SamplerRun,
        preview_edge: int,
        on_progress: luna_client.OnProgress,
    ) -> torch.Tensor:
        """Latents [n, C, h, w] as ComfyUI's LATENT. preview_edge 0: no previews."""
        result = self._call(
            "sampling",
            lambda cancel: self._luna.sample_rows(
                rows,
                run,
                workflow_id=self.workflow_id,
                cancel=cancel,
                on_progress=on_progress,
                **({"preview_every": 1, "preview_edge": preview_edge} if preview_edge else {}),
            ),
        )
        for warning in result.warnings:
            log.warning("Luna: %s", warning)
        return result.latent

    def _call(self, what: str, call: Callable[[luna_client.Cancel], Result]) -> Result:
        try:
            with interruptible() as cancel:
                try:
                    return call(cancel)
                except luna_client.NotFound as missing:
                    # The daemon has made room for other uploads: the next set is uploaded again.
                    if "sha256:" in str(missing):
                        self._adapters.forget()
                    raise
        except luna_client.Unavailable as gone:
            raise DaemonGone(f"Luna's daemon went away during {what}", gone) from gone
