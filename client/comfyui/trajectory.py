"""Cut B: the whole sampling as one call. The wrapper around ComfyUI's outer_sample."""

import logging
from collections.abc import Callable
from typing import Any

import luna_client
import torch

from . import unserved
from .connection import DaemonGone
from .cut_choice import StepByStep, Trajectory, choose
from .progress_text import show

KEY = "luna"

log = logging.getLogger("luna")


def _rows(
    trajectory: Trajectory,
    patcher: Any,
    noise: torch.Tensor,
    latent: torch.Tensor,
    mask: torch.Tensor | None,
) -> list[luna_client.Row]:
    if noise.ndim != 4 or latent.shape != noise.shape:
        raise StepByStep(f"the latent is not a batch of pictures ({list(latent.shape)})")
    if (
        mask is not None
        and mask.shape[1] > 1
        and not torch.equal(mask, mask[:, :1].expand_as(mask))
    ):
        raise StepByStep("the mask differs between channels")
    loras, count = patcher.loras(), latent.shape[0]
    return [
        luna_client.Row(
            latent[row].float().contiguous(),
            trajectory.positive,
            trajectory.negative,
            luna_client.Noise(trajectory.seed, count, row, tensor=noise[row].float().contiguous()),
            trajectory.cfg,
            None if mask is None else mask[row, 0].float().contiguous(),
            loras,
        )
        for row in range(count)
    ]


def _run(
    trajectory: Trajectory,
    patcher: Any,
    noise: torch.Tensor,
    latent: torch.Tensor,
    sigmas: torch.Tensor,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    import latent_preview

    name, options = trajectory.sampler.name, trajectory.sampler.options
    rows = _rows(
        trajectory,
        patcher,
        *(tensor.cpu() for tensor in (noise, latent)),
        None if mask is None else mask.cpu(),
    )
    run = luna_client.SamplerRun(name, sigmas=[float(sigma) for sigma in sigmas], options=options)
    callback = trajectory.callback
    edge = latent_preview.MAX_PREVIEW_RESOLUTION if callback.wants_previews else 0
    result = patcher.served.sample(
        rows, run, edge, lambda at: callback.step(at.step, at.steps, at.preview)
    )
    callback.finished(patcher.model.process_latent_in(result))
    return result


def _whole(
    guider: Any,
    noise: torch.Tensor,
    latent: torch.Tensor,
    sampler: Any,
    sigmas: torch.Tensor,
    mask: torch.Tensor | None,
    callback: Any,
    seed: int | None,
) -> torch.Tensor:
    """Raises StepByStep where it cannot be done, before or by the daemon's word."""
    patcher = guider.model_patcher
    trajectory = choose(guider, sampler, sigmas, callback, seed, KEY)
    try:
        result = _run(trajectory, patcher, noise, latent, sigmas, mask)
    except (luna_client.Unimplemented, luna_client.InvalidRequest) as refusal:
        raise StepByStep(f"the daemon does not sample so ({refusal})") from refusal
    _tell(
        patcher,
        f"{trajectory.sampler.name}, {len(sigmas) - 1} steps, {latent.shape[0]} picture(s) "
        "on the daemon",
    )
    return result


def _tell(patcher: Any, text: str) -> None:
    log.info("Luna: %s", text)
    patcher.served.last_run = text
    show(text)


def _locally(guider: Any, gone: DaemonGone, again: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The same sampling with a model of this process, from its start."""
    remote = guider.model_patcher
    local = remote.served.local
    if local is None:
        raise gone
    _tell(remote, f"the daemon is gone ({gone.__cause__}): sampling goes on in this ComfyUI")
    stand_in = local.model().clone()
    stand_in.patches = {key: list(entries) for key, entries in remote.patches.items()}
    stand_in.patches_uuid = remote.patches_uuid
    stand_in.object_patches = dict(remote.object_patches)
    stand_in.hook_patches = remote.hook_patches
    guider.model_patcher = stand_in
    try:
        return again()
    finally:
        guider.model_patcher = remote


def outer_sample(
    executor: Any,
    noise: torch.Tensor,
    latent_image: torch.Tensor,
    sampler: Any,
    sigmas: torch.Tensor,
    denoise_mask: torch.Tensor | None = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
    latent_shapes: Any = None,
) -> torch.Tensor:
    """The daemon samples where it can; else ComfyUI does, and the daemon evaluates."""
    guider = executor.class_obj
    conds = {name: [dict(entry) for entry in entries] for name, entries in guider.conds.items()}

    def here() -> torch.Tensor:
        guider.conds = {name: [dict(entry) for entry in entries] for name, entries in conds.items()}
        return executor(
            noise,
            latent_image,
            sampler,
            sigmas,
            denoise_mask,
            callback,
            disable_pbar,
            seed,
            latent_shapes=latent_shapes,
        )

    if not hasattr(guider.model_patcher, "served"):
        return here()
    unserved.refuse(
        [
            *unserved.of_conditioning(guider.conds),
            *unserved.of_patcher(guider.model_patcher),
            *unserved.inside_network(guider.model_options.get("transformer_options", {})),
        ]
    )
    try:
        try:
            return _whole(
                guider, noise, latent_image, sampler, sigmas, denoise_mask, callback, seed
            )
        except StepByStep as reason:
            _tell(guider.model_patcher, f"step by step, because {reason}")
            return here()
    except DaemonGone as gone:
        return _locally(guider, gone, here)
