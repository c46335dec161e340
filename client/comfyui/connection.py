"""This process's sessions with daemons: one an address, made at first use, kept. luna_client
connects again by itself."""

import threading
import time

import luna_client

_CONNECT_SECONDS = 3.0
# A daemon that restarts is back within this; then a run goes on instead of failing.
_RESTART_SECONDS = 5.0
# The lists of the nodes' fields are asked for often, and a daemon that is not there should not slow
# that down.
_LIST_SECONDS = 10.0

_lock = threading.Lock()
_sessions: dict[str, luna_client.Luna] = {}
_lists: dict[str, tuple[float, dict[str, list[str]]]] = {}


class DaemonGone(RuntimeError):
    """Shown at the node."""

    def __init__(self, what: str, cause: Exception) -> None:
        super().__init__(
            f"{what}: {cause}. When the daemon runs again (start lunad), queue the workflow again: "
            "ComfyUI need not be restarted. With daemon_mode auto the Luna Model Router goes on "
            "without a daemon."
        )


def client_name() -> str:
    """As the daemon's status and log show this ComfyUI."""
    import comfyui_version
    from comfy.cli_args import args

    return f"comfyui {comfyui_version.__version__} ({args.port})"


def session(address: str = "") -> luna_client.Luna:
    """luna_client.Unavailable when no daemon is there. address: empty for $LUNA_ADDRESS or this
    user's daemon."""
    with _lock:
        if address not in _sessions:
            _sessions[address] = luna_client.connect(
                address or None,
                client_name=client_name(),
                tensors="torch",
                timeout=_CONNECT_SECONDS,
                restart_wait=_RESTART_SECONDS,
            )
        return _sessions[address]


def files(folder: str, address: str = "") -> list[str]:
    """What the daemon has in a folder of its model roots; nothing when there is no daemon."""
    asked, known = _lists.get(address, (0.0, {}))
    if time.monotonic() - asked > _LIST_SECONDS:
        known = {}
        try:
            for file in session(address).models.list(timeout=1.0).files:
                known.setdefault(file.folder, []).append(file.file)
        except luna_client.LunaError:
            pass
        _lists[address] = (time.monotonic(), known)
    return known.get(folder, [])
