"""A headless Chromium, spoken to over its DevTools protocol: open a page, run JavaScript in it,
take a picture."""

import asyncio
import base64
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import Any

import aiohttp


class Page:
    """An open page. Coordinates are CSS pixels."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async for message in self._socket:
            reply = json.loads(message.data)
            if reply.get("id") == number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']['message']}")
                return reply["result"]
        raise ConnectionError(f"the browser closed the page during {method}")

    async def open(self, address: str) -> None:
        await self.command("Page.enable")
        await self.command("Page.navigate", url=address)

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        reply = await self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in reply:
            details = reply["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return reply["result"].get("value")

    async def wait_for(self, script: str, seconds: float = 60) -> None:
        """Until an expression is true."""
        for _ in range(int(seconds / 0.25)):
            if await self.run(
                f"(() => {{ try {{ return !!({script}) }} catch (_) {{ return false }} }})()"
            ):
                return
            await asyncio.sleep(0.25)
        raise TimeoutError(f"never true on the page: {script}")

    async def picture(
        self, file: pathlib.Path, x: float, y: float, width: float, height: float, scale: float = 1
    ) -> None:
        reply = await self.command(
            "Page.captureScreenshot",
            format="png",
            clip={"x": x, "y": y, "width": width, "height": height, "scale": scale},
        )
        file.write_bytes(base64.b64decode(reply["data"]))


class Browser:
    """Context manager; `chromium` of the PATH."""

    def __init__(self, width: int, height: int) -> None:
        program = (
            shutil.which("chromium")
            or shutil.which("chromium-browser")
            or shutil.which("google-chrome")
        )
        if not program:
            raise FileNotFoundError("chromium is not installed")
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._folder.name}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ, HOME=self._folder.name),
        )
        self._size = (width, height)

    async def __aenter__(self) -> Page:
        port = None
        while port is None:
            line = await asyncio.to_thread(self._process.stderr.readline)
            if not line:
                raise RuntimeError("chromium ended at once")
            if found := re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)", line):
                port = found[1]
        self._http = aiohttp.ClientSession()
        async with self._http.put(f"http://127.0.0.1:{port}/json/new?about:blank") as reply:
            address = (await reply.json())["webSocketDebuggerUrl"]
        page = Page(await self._http.ws_connect(address, max_msg_size=0))
        await page.command(
            "Emulation.setDeviceMetricsOverride",
            width=self._size[0],
            height=self._size[1],
            deviceScaleFactor=1,
            mobile=False,
        )
        return page

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)
        self._folder.cleanup()
