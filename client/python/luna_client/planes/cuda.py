"""GPU memory of this process, named so that another process can open it. Never run on a GPU."""

from __future__ import annotations


def visible_devices() -> list[str]:
    """UUIDs ("GPU-...") of the GPUs that this process's torch can use."""
    return []
