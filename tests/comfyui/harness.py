"""A real headless ComfyUI with the node pack, beside a real lunad over the same models."""

import asyncio
import json
import os
import pathlib
import re
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from types import TracebackType
from typing import Any

import aiohttp
import numpy
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/parity"))
from comfyui_process import ComfyUI, require_comfyui  # noqa: E402
from luna_process import LunaDaemon  # noqa: E402

PREVIEW_EVENTS = (1, 4)


class WorkflowFailed(Exception):
    """ComfyUI's execution_error."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(details.get("exception_message", json.dumps(details)[:2000]))
        self.node = details.get("node_type")


class Interrupted(Exception):
    """ComfyUI's execution_interrupted."""


class Run:
    """A submitted prompt, and what came over the websocket meanwhile."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.previews: list[bytes] = []
        self.texts: list[str] = []
        self.ended = threading.Event()

    def progress(self) -> list[int]:
        return [data["value"] for name, data in self.events if name == "progress"]


class LunaComfyUI(ComfyUI):
    """ComfyUI with comfyui-luna, whose daemon listens at `socket`."""

    def __init__(
        self,
        base: pathlib.Path,
        models: pathlib.Path,
        socket: pathlib.Path,
        *extra: str,
        pack: bool = True,
    ) -> None:
        more = ["--whitelist-custom-nodes", "comfyui-luna"] if pack else []
        super().__init__(
            require_comfyui(),
            base,
            [*more, "--extra-model-paths-config", str(base / "paths.yaml"), *extra],
        )
        (base / "paths.yaml").write_text(
            f"luna:\n  base_path: {models}\n"
            + "".join(
                f"  {name}: {name}\n"
                for name in (
                    "checkpoints",
                    "loras",
                    "vae",
                    "text_encoders",
                    "diffusion_models",
                    "embeddings",
                    "vae_approx",
                )
            )
        )
        if pack:
            (base / "custom_nodes/comfyui-luna").symlink_to(ROOT / "client/comfyui")
        self._environment = {
            "LUNA_ADDRESS": f"unix:{socket}",
            "PYTHONPATH": os.environ["LUNA_CLIENT"],
        }

    def __enter__(self) -> "LunaComfyUI":
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            super().__enter__()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[str]:
        """What Luna's nodes have logged."""
        text = (self.base / "comfyui.log").read_text(errors="replace")
        return re.findall(r"Luna: (.*)", text)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read()
        except urllib.error.HTTPError as refusal:
            raise WorkflowFailed({"exception_message": refusal.read().decode()[:3000]}) from None
        return json.loads(text) if text else None

    def start(self, graph: dict[str, Any]) -> tuple[str, Run]:
        """Queues a workflow and follows it."""
        run, client, identity = Run(), str(uuid.uuid4()), str(uuid.uuid4())
        connected = threading.Event()

        async def follow() -> None:
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(
                    f"http://127.0.0.1:{self.port}/ws?clientId={client}", max_msg_size=0
                ) as socket,
            ):
                connected.set()
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.BINARY:
                        self._binary(run, message.data)
                        continue
                    if message.type != aiohttp.WSMsgType.TEXT:
                        break
                    event = json.loads(message.data)
                    run.events.append((event["type"], event["data"]))
                    if event["type"] in (
                        "execution_success",
                        "execution_error",
                        "execution_interrupted",
                    ):
                        break
            run.ended.set()

        threading.Thread(target=lambda: asyncio.run(follow()), daemon=True).start()
        assert connected.wait(20)
        self.post("/prompt", {"prompt": graph, "prompt_id": identity, "client_id": client})
        return identity, run

    @staticmethod
    def _binary(run: Run, data: bytes) -> None:
        kind = struct.unpack(">I", data[:4])[0]
        if kind in PREVIEW_EVENTS:
            run.previews.append(data[8:])
        elif kind == 3:
            length = struct.unpack(">I", data[4:8])[0]
            run.texts.append(data[8 + length :].decode())

    def wait(self, identity: str, run: Run, seconds: float = 1200) -> dict[str, Any]:
        """The outputs by node. Raises WorkflowFailed or Interrupted."""
        assert run.ended.wait(seconds), "the workflow did not end"
        for name, data in run.events:
            if name == "execution_error":
                raise WorkflowFailed(data)
            if name == "execution_interrupted":
                raise Interrupted
        end = time.time() + 20
        while time.time() < end:
            history = self.get(f"/history/{identity}")
            if identity in history:
                return history[identity]["outputs"]
            time.sleep(0.02)
        raise AssertionError("the workflow is not in the history")

    def execute(self, graph: dict[str, Any]) -> dict[str, Any]:
        return self.wait(*self.start(graph))

    def pictures(self, graph: dict[str, Any]) -> numpy.ndarray:
        """u8 [n, H, W, 3] of the saved images."""
        return self.saved(self.execute(graph))

    def saved(self, outputs: dict[str, Any]) -> numpy.ndarray:
        files = [
            self.output_file(item)
            for output in outputs.values()
            for item in output.get("images", ())
            if item["type"] == "output"
        ]
        assert files, f"no picture was saved: {outputs}"
        return numpy.stack([numpy.asarray(Image.open(file).convert("RGB")) for file in files])


class Daemon(LunaDaemon):
    """lunad that can be pulled away and brought back at the same socket."""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.socket.unlink(missing_ok=True)

    def __exit__(self, *what: BaseException | type | TracebackType | None) -> None:
        if self.process.poll() is None:
            super().__exit__(*what)


def difference(one: numpy.ndarray, other: numpy.ndarray) -> int:
    """The largest of a channel of a pixel, of 255."""
    assert one.shape == other.shape, (one.shape, other.shape)
    return int(numpy.abs(one.astype(int) - other.astype(int)).max())


def memory_mib(pid: int) -> tuple[float, float]:
    """(proportional set size, private memory) of a process."""
    values = dict(
        re.findall(
            r"^(\w+): +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M
        )
    )
    return int(values["Pss"]) / 1024, (
        int(values["Private_Clean"]) + int(values["Private_Dirty"])
    ) / 1024
