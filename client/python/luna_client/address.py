"""Where the daemon listens: the rules of the C++ client (client/facade/address)."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from luna_client.errors import InvalidRequest, Unavailable

_UNIX = "unix:"
_MAX_SOCKET_PATH = 107  # sun_path without its ending zero


def _tmp_folder() -> Path:
    return Path(f"/tmp/luna-{os.geteuid()}")


def runtime_folder() -> Path:
    """Where this user's sockets lie: $XDG_RUNTIME_DIR/luna, else /tmp/luna-<uid>."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime) / "luna" if runtime.startswith("/") else _tmp_folder()


def user_sockets() -> list[Path]:
    """Sockets at which this user's daemon may listen, likeliest first; the last is a private
    daemon's."""
    folders = list(dict.fromkeys((runtime_folder(), _tmp_folder())))
    return [folder / "lunad.sock" for folder in folders] + [runtime_folder() / "private.sock"]


def check_address(address: str) -> None:
    """Raises InvalidRequest unless it is "unix:/path" (absolute, short enough for a socket) or
    "host:port"."""
    if address.startswith(_UNIX):
        path = address[len(_UNIX) :]
        if not path.startswith("/"):
            raise InvalidRequest(f"address '{address}': expected an absolute path behind 'unix:'")
        if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
            raise InvalidRequest(
                f"address '{address}': a socket's path has at most {_MAX_SOCKET_PATH} bytes, "
                f"this one {len(os.fsencode(path))}"
            )
        return
    host, _, port = address.rpartition(":")
    if host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536:
        return
    raise InvalidRequest(f"address '{address}': expected unix:/path/to/socket or host:port")


def socket_answers(path: Path) -> bool:
    """Whether somebody accepts connections at this path, now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def find_daemon(address: str | None = None) -> str:
    """The address to connect to: `address`, else $LUNA_ADDRESS, else this user's daemon.
    Unavailable when nothing listens there; no daemon is started."""
    chosen = address or os.environ.get("LUNA_ADDRESS", "")
    if chosen:
        check_address(chosen)
        return chosen
    for path in user_sockets():
        if socket_answers(path):
            return f"{_UNIX}{path}"
    raise Unavailable(
        f"no daemon listens at {user_sockets()[0]}: start lunad, or give its address "
        '(connect("unix:/path"), or the variable LUNA_ADDRESS)'
    )
