"""What can go wrong, one class a meaning. Every message says what was expected, what was found,
and what to do next."""

from __future__ import annotations

import re

_NO_SERVER = (
    "failed to connect",
    "DNS resolution failed",
    "empty address list",
    "connection attempt timed out",
    "No such file or directory",
    "Connection refused",
)
_BROKEN = (
    "Socket closed",
    "Connection reset",
    "Broken pipe",
    "GOAWAY",
    "Endpoint",
    "Transport closed",
    "keepalive",
    "Stream removed",
    "recvmsg",
    "Channel closed",
    "Cancelling all calls",
)
_RETRY_AFTER = re.compile(r"retry in (\d+) ms\b")
_DRAINING = ("lunad is stopping", "daemon is stopping")


class LunaError(Exception):
    """Any failure of Luna. `code` is gRPC's name of it ("INVALID_ARGUMENT")."""

    code = "UNKNOWN"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def add_context(self, what: str) -> None:
        """ "what: message"."""
        self.message = f"{what}: {self.message}"
        self.args = (self.message, *self.args[1:])


class InvalidRequest(LunaError, ValueError):
    """The request is wrong: shapes, names, numbers, files. The same call fails again."""

    code = "INVALID_ARGUMENT"


class NotFound(LunaError, LookupError):
    """A workflow, model file, LoRA or tensor that the server does not have."""

    code = "NOT_FOUND"


class AlreadyExists(LunaError):
    """What was to be made is there already."""

    code = "ALREADY_EXISTS"


class PermissionDenied(LunaError, PermissionError):
    """The server does not let this client do it (a path outside the model roots, another user's
    socket)."""

    code = "PERMISSION_DENIED"


class FailedPrecondition(LunaError):
    """The server is not in the state that the call needs: a slot without a model, a pinned file."""

    code = "FAILED_PRECONDITION"


class ResourceExhausted(LunaError):
    """A queue, budget or memory is full. `retry_after`: seconds, when the server said so."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(
        self, message: str, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code)
        self.retry_after = retry_after


class DeadlineExceeded(LunaError, TimeoutError):
    """The call's `timeout` passed; the server has stopped working on it."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(LunaError):
    """The call was cancelled, here or there; the server has stopped working on it."""

    code = "CANCELLED"


class Unavailable(LunaError, ConnectionError):
    """No daemon, or it went away. The next call connects again by itself. `connection_lost`: not
    that the daemon said so, but that it could not be reached."""

    code = "UNAVAILABLE"
    connection_lost = False


class DaemonStopping(Unavailable):
    """The daemon is being stopped: running calls finish, new ones are refused."""


class SessionLost(Unavailable):
    """What the call used ended with its session (resident tensors, regions): the daemon or the
    connection had gone. Make it again."""


class Unimplemented(LunaError, NotImplementedError):
    """The server is older than this client, or no lunad."""

    code = "UNIMPLEMENTED"


class DataLoss(LunaError):
    """Something on the server was lost, or a file is damaged."""

    code = "DATA_LOSS"


class InternalError(LunaError):
    """A fault of Luna's own."""

    code = "INTERNAL"


class ForkedProcess(LunaError, RuntimeError):
    """The connection was made before a fork, and belongs to the parent: gRPC does not survive
    one."""

    code = "FAILED_PRECONDITION"


_BY_CODE: dict[str, type[LunaError]] = {
    "CANCELLED": Cancelled,
    "INVALID_ARGUMENT": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAUTHENTICATED": PermissionDenied,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "FAILED_PRECONDITION": FailedPrecondition,
    "ABORTED": Unavailable,
    "UNIMPLEMENTED": Unimplemented,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": DataLoss,
    "INTERNAL": InternalError,
}

CODE_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def _seconds(message: str) -> float | None:
    found = _RETRY_AFTER.search(message)
    return int(found[1]) / 1000 if found else None


def _unavailable(message: str, address: str) -> LunaError:
    if any(text in message for text in _DRAINING):
        return DaemonStopping(message)
    if any(text in message for text in _NO_SERVER):
        lost = Unavailable(
            f"cannot reach lunad at {address} ({message}); start lunad, or give the address of one "
            "that runs"
        )
    elif not message or any(text in message for text in _BROKEN):
        detail = f": {message}" if message else ""
        lost = Unavailable(
            f"the connection to lunad at {address} broke{detail}; the next call connects again"
        )
    else:
        return Unavailable(message)
    lost.connection_lost = True
    return lost


def from_status(code: str, message: str, address: str) -> LunaError:
    """The exception for a gRPC status. `code`: its name; `address`: of the daemon, for the
    message."""
    if code == "UNAVAILABLE":
        return _unavailable(message, address)
    if code == "FAILED_PRECONDITION" and "daemon is stopping" in message:
        return DaemonStopping(message)
    if code == "RESOURCE_EXHAUSTED":
        if "message larger than max" in message:
            message = (
                f"one message is larger than lunad at {address} takes ({message}); raise "
                "limits.message_bytes of its configuration, or send fewer rows a call"
            )
        return ResourceExhausted(message, retry_after=_seconds(message))
    if code == "DEADLINE_EXCEEDED" and (not message or "Deadline Exceeded" in message):
        message = f"the timeout passed before lunad at {address} had answered"
    if code == "CANCELLED" and message in (
        "",
        "CANCELLED",
        "Cancelled",
        "Locally cancelled by application!",
    ):
        message = "the call was cancelled"
    if code == "UNIMPLEMENTED" and not message:
        message = (
            f"what answers at {address} does not serve this call: is it lunad, and as new as this "
            "client?"
        )
    return _BY_CODE.get(code, LunaError)(message or f"lunad at {address} gave no reason", code)
