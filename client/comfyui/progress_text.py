"""A line of text at the node that runs now."""


def show(text: str) -> None:
    """Nothing happens outside of a running ComfyUI."""
    try:
        from comfy_execution.utils import get_executing_context
        from server import PromptServer
    except ImportError:
        return
    context, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if context is not None and server is not None:
        server.send_progress_text(f"Luna: {text}", context.node_id)
