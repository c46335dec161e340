"""The MODEL of the nodes: a real ModelPatcher over a real model class whose weights are in the
daemon.

Loading, unloading and patching cost nothing here. `_apply_model`, where ComfyUI evaluates its
network, asks the daemon (cut A); a wrapper around whole samplings hands them over where it can (cut
B, trajectory.py).
"""

from typing import Any

import comfy.model_base
import comfy.model_patcher
import comfy.patcher_extension
import luna_client
import torch

from . import single_evaluation, trajectory
from .lora_sets import Patch, lora_layers, next_call
from .served_model import ServedModel


class RemoteEvaluation:
    """Mixed into the model's class, so that isinstance tests and attributes of the class hold."""

    luna: ServedModel

    def _apply_model(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        c_concat: torch.Tensor | None = None,
        c_crossattn: torch.Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **extras: Any,
    ) -> torch.Tensor:
        return single_evaluation.evaluate(
            self,
            x,
            t,
            c_concat=c_concat,
            c_crossattn=c_crossattn,
            control=control,
            transformer_options=transformer_options or {},
            extras=extras,
        )

    def memory_required(self, *_: Any, **__: Any) -> int:
        """Nothing is needed here, so nothing is unloaded for it and all conditionings go in one
        call."""
        return 0


def make_remote(
    model: comfy.model_base.BaseModel, served: ServedModel
) -> comfy.model_base.BaseModel:
    """Turns a model on "meta" into one that the daemon evaluates."""
    kind = type(model)
    model.__class__ = type(kind.__name__, (RemoteEvaluation, kind), {"__module__": kind.__module__})
    model.luna = served
    served.sampling = model.model_sampling
    return model


class RemotePatcher(comfy.model_patcher.ModelPatcher):
    """Patches are kept, not applied: they go to the daemon as a LoRA set with every call."""

    @classmethod
    def over(cls, model: comfy.model_base.BaseModel, load_device: torch.device) -> "RemotePatcher":
        patcher = cls(model, load_device=load_device, offload_device=torch.device("cpu"))
        patcher.add_wrapper_with_key(
            comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, trajectory.KEY, trajectory.outer_sample
        )
        return patcher

    @property
    def served(self) -> ServedModel:
        return self.model.luna

    def add_patches(
        self, patches: dict, strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list:
        known = {key: len(entries) for key, entries in self.patches.items()}
        accepted = super().add_patches(patches, strength_patch, strength_model)
        call = next_call()
        for key, entries in self.patches.items():
            at = known.get(key, 0)
            entries[at:] = [Patch.of(entry, call) for entry in entries[at:]]
        return accepted

    def loras(self) -> list[luna_client.Lora]:
        """What the daemon shall apply now: the patches and those of the hooks that are active,
        uploaded."""
        hooked = self.get_combined_hook_patches(self.current_hooks)
        patches = {
            key: [*self.patches.get(key, ()), *hooked.get(key, ())]
            for key in {**self.patches, **hooked}
        }
        return self.served.loras(lora_layers(patches))

    def model_size(self) -> int:
        return 0

    def loaded_size(self) -> int:
        return 0

    def load(
        self,
        device_to: torch.device | None = None,
        lowvram_model_memory: int = 0,
        force_patch_weights: bool = False,
        full_load: bool = False,
    ) -> None:
        self.model.current_weight_patches_uuid = self.patches_uuid
        for callback in self.get_all_callbacks(comfy.patcher_extension.CallbacksMP.ON_LOAD):
            callback(self, device_to, lowvram_model_memory, force_patch_weights, full_load)
        self.apply_hooks(self.forced_hooks, force_apply=True)

    def partially_load(
        self, device_to: torch.device, extra_memory: int = 0, force_patch_weights: bool = False
    ) -> int:
        self.unpatch_model(unpatch_weights=False)
        self.patch_model(load_weights=False)
        self.load(device_to)
        return 0

    def partially_unload(
        self, device_to: torch.device, memory_to_free: int = 0, force_patch_weights: bool = False
    ) -> int:
        return 0

    def unpatch_model(
        self, device_to: torch.device | None = None, unpatch_weights: bool = True
    ) -> None:
        # Without a device: there are no weights to move.
        super().unpatch_model(None, unpatch_weights)

    def patch_weight_to_device(
        self,
        key: str,
        device_to: torch.device | None = None,
        inplace_update: bool = False,
        return_weight: bool = False,
        force_cast: bool = False,
    ) -> torch.Tensor:
        return comfy.model_patcher.get_key_weight(self.model, key)[0]

    def patch_hooks(self, hooks: Any) -> None:
        # Which hooks are active is all that loras() needs.
        self.current_hooks = hooks
