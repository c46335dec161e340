"""ComfyUI's interrupt button reaches the daemon: a call under way is cancelled there, between two
evaluations."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import luna_client

_LOOK_EVERY = 0.05  # seconds


@contextmanager
def interruptible() -> Iterator[luna_client.Cancel]:
    """A Cancel for the calls of the block. When the user interrupts, they end and ComfyUI's own
    exception comes out."""
    cancel, ended = luna_client.Cancel(), threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY):
            if comfy.model_management.processing_interrupted():
                cancel()
                return

    watcher = threading.Thread(target=watch, name="luna-interrupt", daemon=True)
    watcher.start()
    try:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield cancel
    except luna_client.Cancelled:
        comfy.model_management.throw_exception_if_processing_interrupted()
        raise
    finally:
        ended.set()
        watcher.join()
