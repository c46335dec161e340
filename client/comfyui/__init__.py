"""comfyui-luna: ComfyUI's models in Luna's daemon. How to use it stands in docs/comfyui.md."""

try:
    import luna_client  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "comfyui-luna needs the Python package luna_client: run `pip install "
        f"<luna>/client/python` with the Python that runs ComfyUI ({missing})"
    ) from missing

from .reset_node import LunaResetModelWeights
from .router_node import LunaModelRouter
from .status_node import LunaDaemonStatus

NODE_CLASS_MAPPINGS = {
    "LunaModelRouter": LunaModelRouter,
    "LunaDaemonStatus": LunaDaemonStatus,
    "LunaResetModelWeights": LunaResetModelWeights,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LunaModelRouter": "Luna Model Router",
    "LunaDaemonStatus": "Luna Daemon Status",
    "LunaResetModelWeights": "Luna Reset Model Weights",
}
