"""Cut A: one evaluation of the network, asked of the daemon."""

from collections.abc import Iterator, Mapping
from typing import Any

import luna_client
import torch

from . import unserved

# What a UNet takes beside its context.
_SERVED_EXTRAS = frozenset({"y"})


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32).contiguous()


def _conditions(
    count: int, context: torch.Tensor, beside: Mapping[str, torch.Tensor]
) -> Iterator[tuple[luna_client.ConditioningEntry, dict[str, torch.Tensor]]]:
    """Row by row. One row of a tensor stands for all, as it broadcasts in the network."""
    for row in range(count):

        def of_row(tensor: torch.Tensor, row: int = row) -> torch.Tensor:
            at = row if tensor.shape[0] == count else 0
            return tensor[at : at + 1]

        yield (
            luna_client.ConditioningEntry(of_row(context)),
            {name: of_row(tensor) for name, tensor in beside.items()},
        )


def evaluate(
    model: Any,
    x: torch.Tensor,
    sigma: torch.Tensor,
    *,
    c_concat: torch.Tensor | None,
    c_crossattn: torch.Tensor | None,
    control: Any,
    transformer_options: Mapping[str, Any],
    extras: Mapping[str, Any],
) -> torch.Tensor:
    """x0 of every row, as BaseModel._apply_model gives it: x [n, C, h, w] the sampler's state,
    sigma [n]."""
    patcher = model.current_patcher
    unknown = sorted(set(extras) - _SERVED_EXTRAS)
    unserved.refuse(
        [
            *unserved.inside_network(transformer_options),
            *unserved.of_patcher(patcher),
            *(["a ControlNet"] if control is not None else []),
            *(f"the model's input '{name}'" for name in unknown),
        ]
    )
    if c_crossattn is None:
        unserved.refuse(["a conditioning without text"])
    sampling = model.model_sampling
    changed = sampling is not model.luna.sampling
    state, beside = (
        x,
        {name: _on_host(tensor) for name, tensor in extras.items() if tensor is not None},
    )
    if c_concat is not None:
        beside["c_concat"] = _on_host(c_concat)
    if changed:
        # A node has changed how the network is used (ModelSampling...): it gets its input and its
        # time as they are, and what it says is turned into x0 here.
        state = sampling.calculate_input(sigma, x)
        timesteps = _on_host(sampling.timestep(sigma).float().reshape(-1))
    state = _on_host(state)
    loras = patcher.loras()
    rows = []
    for row, (entry, extra) in enumerate(_conditions(x.shape[0], _on_host(c_crossattn), beside)):
        if changed:
            extra["timestep"] = timesteps[row if len(timesteps) > 1 else 0].reshape(1)
        rows.append(
            luna_client.DenoiseRow(
                state[row],
                float(sigma.reshape(-1)[row if sigma.numel() > 1 else 0]),
                entry,
                extra,
                loras,
            )
        )
    output = model.luna.denoise(rows).to(x.device)
    return sampling.calculate_denoised(sigma, output, x) if changed else output
