"""The pictures of docs/comfyui.md, and the workflows of client/comfyui/examples, from a real
ComfyUI in a real browser.

usage: pages.py PROGRAMS [--only NAME ...]

PROGRAMS holds lunad and luna-worker. COMFYUI_DIR and COMFYUI_PYTHON as for the tests; that Python
also has ComfyUI's front end (comfyui-frontend-package). Chromium is on the PATH. The shipped model
draws.
"""

import argparse
import asyncio
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from browser import Browser, Page
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/comfyui"), str(ROOT / "tests/parity")]
import graphs  # noqa: E402
import run as suite  # noqa: E402

WIDTH, HEIGHT = 1500, 900
EXAMPLES, PICTURES = ROOT / "client/comfyui/examples", ROOT / "docs/pictures"
CHECKPOINT = "luna-scenes.safetensors"


def text_to_image(p: graphs.Picture) -> None:
    p.size, p.steps, p.seed = 128, 20, 12
    p.finish(
        p.sample(
            positive=p.text("a red boat at sea"),
            negative=p.text("blurry"),
            sampler_name="dpmpp_2m",
            scheduler="karras",
        )
    )


def two_loras_and_reset(p: graphs.Picture) -> None:
    p.size, p.steps, p.seed = 128, 20, 12
    first = p.graph.add(
        "LoraLoader",
        model=p.models.model,
        clip=p.models.clip,
        lora_name="luna-pencil.safetensors",
        strength_model=0.8,
        strength_clip=0.8,
    )
    second = p.graph.add(
        "LoraLoader",
        model=first,
        clip=p.graph.out(first, 1),
        lora_name="luna-duotone.safetensors",
        strength_model=0.4,
        strength_clip=0.4,
    )
    reset = p.graph.add("LunaResetModelWeights", model=second, clip=p.graph.out(second, 1))
    words = "a brown house in a forest"
    clip = p.graph.out(second, 1)
    p.finish(p.sample(model=second, positive=p.text(words, clip), negative=p.text("blurry", clip)))
    clip = p.graph.out(reset, 1)
    p.finish(p.sample(model=reset, positive=p.text(words, clip), negative=p.text("blurry", clip)))


def daemon_status(p: graphs.Picture) -> None:
    p.size, p.steps = 128, 20
    samples = p.sample(positive=p.text("a yellow moon over the sea"), negative=p.text("blurry"))
    images = p.decode(samples)
    p.save(images)
    status = p.graph.add("LunaDaemonStatus", daemon_address="", after=images)
    p.graph.add("PreviewAny", source=status)


@dataclass(frozen=True)
class Example:
    name: str
    make: Callable[[graphs.Picture], None]
    picture: str = ""


PAGES = (
    Example("text_to_image", text_to_image, "comfyui-router.png"),
    Example("two_loras_and_reset", two_loras_and_reset),
    Example("daemon_status", daemon_status, "comfyui-status.png"),
)


async def shown(page: Page, prompt: dict[str, Any]) -> dict[str, Any]:
    """Puts an API-format workflow on the canvas, in columns; gives it in the front end's own
    format."""
    await page.run(f"app.loadApiJson({json.dumps(prompt)}, 'luna.json')")
    await asyncio.sleep(1)
    await page.run("""const sizes = {PreviewAny: [520, 330], SaveImage: [230, 250]};
        for (const [type, size] of Object.entries(sizes))
        app.graph._nodes.filter(node => node.type == type).forEach(node => node.setSize(size))""")
    await page.run("app.graph.arrange(60)")
    return json.loads(await page.run("JSON.stringify(app.graph.serialize())"))


async def fitted(page: Page) -> tuple[float, float, float, float]:
    """Moves the view so that all nodes are seen; gives their rectangle on the page."""
    return await page.run(f"""(() => {{
        const boxes = app.graph._nodes.map(node => node.getBounding());
        const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1]));
        const right = Math.max(...boxes.map(b => b[0] + b[2]));
        const bottom = Math.max(...boxes.map(b => b[1] + b[3]));
        const scale = Math.min(1, {WIDTH - 180} / (right - left), {HEIGHT - 170} / (bottom - top));
        app.canvas.ds.scale = scale;
        app.canvas.ds.offset[0] = 120 / scale - left;
        app.canvas.ds.offset[1] = 110 / scale - top;
        app.canvas.setDirty(true, true);
        return [100, 85, (right - left) * scale + 40, (bottom - top) * scale + 45];
    }})()""")


async def ran(page: Page, comfyui: Any) -> None:
    """Presses the button, and waits for the end."""
    before = len(comfyui.get("/history"))
    await page.run("app.queuePrompt(0)")
    for _ in range(600):
        await asyncio.sleep(0.2)
        entries = list(comfyui.get("/history").values())
        if len(entries) > before:
            if entries[-1]["status"]["status_str"] != "success":
                raise SystemExit(json.dumps(entries[-1]["status"])[:2000])
            break
    await asyncio.sleep(2)


def smaller(file: pathlib.Path) -> None:
    """64 colours are enough for boxes and letters."""
    Image.open(file).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)


async def make(comfyui: Any, wanted: list[str]) -> None:
    loader = graphs.luna(
        CHECKPOINT,
        "auto",
        precision="auto",
        clip_1="from checkpoint",
        clip_2="from checkpoint",
        clip_3="from checkpoint",
        clip_4="from checkpoint",
        vae_name="from checkpoint",
        workflow_id="",
        daemon_address="",
    )
    async with Browser(WIDTH, HEIGHT) as page:
        for example in PAGES:
            if wanted and example.name not in wanted:
                continue
            await page.open("about:blank")  # nothing of the workflow before
            await page.open(f"http://127.0.0.1:{comfyui.port}/")
            await page.wait_for("app.graph && LiteGraph.registered_node_types.LunaModelRouter")
            await asyncio.sleep(3)
            workflow = await shown(page, graphs.build(example.make, loader))
            (EXAMPLES / f"{example.name}.json").write_text(
                json.dumps(workflow, separators=(",", ":")) + "\n"
            )
            await ran(page, comfyui)
            if example.picture:
                box = await fitted(page)
                await asyncio.sleep(8)  # until the message that the job is done has gone
                await page.picture(PICTURES / example.picture, *box)
                smaller(PICTURES / example.picture)
            print(example.name, "done")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("programs")
    parser.add_argument("--only", nargs="*", default=[])
    words = parser.parse_args()
    made = pathlib.Path(words.programs).resolve().parent / "comfyui-tests"
    made.mkdir(parents=True, exist_ok=True)
    suite.build_client(made)
    os.environ["LUNA_CLIENT"] = str(made / "lib")
    from harness import Daemon, LunaComfyUI

    EXAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="luna-") as scratch:
        (pathlib.Path(scratch) / "daemon").mkdir()
        with Daemon(words.programs, ROOT / "models", pathlib.Path(scratch) / "daemon") as daemon:
            comfyui = LunaComfyUI(
                pathlib.Path(scratch) / "comfyui",
                ROOT / "models",
                daemon.socket,
                "--preview-method",
                "latent2rgb",
            )
            at = comfyui.command.index("--front-end-root")
            del comfyui.command[at : at + 2]
            settings = comfyui.base / "user/default/comfy.settings.json"
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text(json.dumps({"Comfy.TutorialCompleted": True, "Comfy.Locale": "en"}))
            with comfyui:
                asyncio.run(make(comfyui, words.only))


if __name__ == "__main__":
    main()
