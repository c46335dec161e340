"""The blocking client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from luna_client.blocking import blocking, run
from luna_client.calls import Calls
from luna_client.calls.loras import LoraCalls
from luna_client.calls.models import ModelCalls
from luna_client.link import Link, Settings
from luna_client.models import Models, Precision
from luna_client.options import PlaneChoice, Priority, TensorKind
from luna_client.planes.report import PlaneReport
from luna_client.proxies import ClipProxy, ModelProxy, Proxies, VaeProxy
from luna_client.runtime.threads import ThreadRuntime
from luna_client.tensors import Tensor

if TYPE_CHECKING:
    pass


def connect(
    address: str | None = None,
    *,
    client_name: str = "luna_client",
    plane: PlaneChoice = "auto",
    tensors: TensorKind = "numpy",
    priority: Priority = "normal",
    timeout: float = 5.0,
    restart_wait: float = 30.0,
) -> Luna:
    """Connects to a daemon that runs.

    address: "unix:/path" or "host:port"; None: $LUNA_ADDRESS, else this user's daemon. client_name:
    for status and log ("comfyui 0.29 (8188)"). plane: how tensors travel; "auto" takes the best
    that both ends have, "shm" and "cuda" raise FailedPrecondition where that one is not to be had.
    tensors: what calls without a tensor of their own give back. priority: of calls that name none.
    timeout: seconds for connecting. restart_wait: seconds for which a call that finds its daemon
    gone waits for another; 0: it raises Unavailable at once.

    Unavailable says what was tried and what to do."""
    settings = Settings(address, client_name, plane, tensors, priority, timeout, restart_wait)
    link = Link(settings, ThreadRuntime())
    run(link.open())
    return Luna(link)


class BlockingModels:
    """`luna.models`. Replies are the messages of proto/luna/v1/models.proto."""

    def __init__(self, calls: ModelCalls) -> None:
        self._calls = calls

    list = blocking(ModelCalls.list)
    inspect = blocking(ModelCalls.inspect)
    load = blocking(ModelCalls.load)
    unload = blocking(ModelCalls.unload)
    offload = blocking(ModelCalls.offload)
    restore = blocking(ModelCalls.restore)
    pin = blocking(ModelCalls.pin)
    unpin = blocking(ModelCalls.unpin)


class BlockingLoras:
    """`luna.loras`."""

    def __init__(self, calls: LoraCalls) -> None:
        self._calls = calls

    upload = blocking(LoraCalls.upload)
    inspect = blocking(LoraCalls.inspect)


class Luna:
    """A session with a daemon. Thread-safe; any number of calls at once. Its end (close(), a
    with-block, the process) frees what it owned on the server. After a restart of the daemon the
    next call connects again by itself and registers this client's workflows again; resident
    tensors are gone then (SessionLost). Not usable after a fork."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._calls = Calls(link)
        self.models = BlockingModels(self._calls.models)
        self.loras = BlockingLoras(self._calls.loras)

    tokenize = blocking(Calls.tokenize)
    clip_encode = blocking(Calls.clip_encode)
    vae_encode = blocking(Calls.vae_encode)
    vae_decode = blocking(Calls.vae_decode)
    sample = blocking(Calls.sample)
    sample_rows = blocking(Calls.sample_rows)
    denoise = blocking(Calls.denoise)
    denoise_rows = blocking(Calls.denoise_rows)
    generate = blocking(Calls.generate)

    register_workflow = blocking(Calls.register_workflow)
    renew_workflow = blocking(Calls.renew_workflow)
    release_workflow = blocking(Calls.release_workflow)
    list_workflows = blocking(Calls.list_workflows)

    upload = blocking(Calls.upload)
    download = blocking(Calls.download)
    free = blocking(Calls.free)

    status = blocking(Calls.status)
    ping = blocking(Calls.ping)
    ensure = blocking(Calls.ensure)

    def get_model_proxies(
        self,
        workflow_id: str | None = None,
        model_type: str | None = None,
        models: Models | None = None,
        *,
        precision: Mapping[str, Precision] | None = None,
        ttl: int = 0,
        preload: bool = False,
        timeout: float | None = None,
    ) -> Proxies:
        """As register_workflow(), for the three of them. Without models: of a workflow that is
        registered already."""
        model, clip, vae = run(
            self._calls.get_model_proxies(
                workflow_id,
                model_type,
                models,
                precision=precision,
                ttl=ttl,
                preload=preload,
                timeout=timeout,
            )
        )
        return Proxies(ModelProxy(model), ClipProxy(clip), VaeProxy(vae))

    def empty(
        self, shape: Sequence[int], dtype: str = "f32", *, tensors: TensorKind | None = None
    ) -> Tensor:
        """An array (undefined values) in memory that the daemon has mapped, where the session
        has the plane "shm": to pass it, or a contiguous part of it, to a call costs no copy.
        Else an ordinary one. dtype: "f32", "u8", "bf16" (torch only) ... Do not write to it
        while a call that was given it runs."""
        return run(self._calls.empty(shape, dtype, tensors=tensors))

    @property
    def address(self) -> str:
        """Of the daemon."""
        return self._link.address

    @property
    def session_id(self) -> str:
        """Of the present session; another one after a restart of the daemon."""
        return self._link.session_id

    @property
    def planes(self) -> PlaneReport:
        """Which planes this session has, why it has no better one, and what went by each."""
        return self._link.planes

    def close(self) -> None:
        """Ends the session. Calls under way end with Cancelled."""
        run(self._link.close())

    def __enter__(self) -> Luna:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Luna({self._link.address!r}, session={self._link.session_id!r})"
