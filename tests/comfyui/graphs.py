"""API-format workflows of stock nodes, built once and run twice: behind ComfyUI's own loader and
behind Luna's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Link = list[Any]


@dataclass
class Graph:
    """Nodes by number; add() gives the node's first output, and out() another one."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, class_type: str, **inputs: Any) -> Link:
        name = str(len(self.nodes) + 1)
        self.nodes[name] = {"class_type": class_type, "inputs": inputs}
        return [name, 0]

    @staticmethod
    def out(link: Link, output: int) -> Link:
        return [link[0], output]


@dataclass
class Loaded:
    model: Link
    clip: Link
    vae: Link


Loader = Callable[[Graph], Loaded]


def stock(checkpoint: str) -> Loader:
    def load(graph: Graph) -> Loaded:
        link = graph.add("CheckpointLoaderSimple", ckpt_name=checkpoint)
        return Loaded(link, graph.out(link, 1), graph.out(link, 2))

    return load


def luna(name: str, mode: str = "force_daemon", **more: Any) -> Loader:
    def load(graph: Graph) -> Loaded:
        inputs = {
            "model_source": "checkpoints",
            "model_name": name,
            "model_type": "SD1.5",
            "precision": "f32",
            "daemon_mode": mode,
            **more,
        }
        link = graph.add("LunaModelRouter", **inputs)
        return Loaded(link, graph.out(link, 1), graph.out(link, 2))

    return load


@dataclass
class Picture:
    """A text-to-image graph in parts, of which a feature replaces some."""

    graph: Graph
    models: Loaded
    size: int = 64
    seed: int = 42
    steps: int = 3

    @property
    def positive(self) -> Link:
        return self.text("a red boat at sea, (calm:1.3) evening")

    @property
    def negative(self) -> Link:
        return self.text("a house")

    def text(self, words: str, clip: Link | None = None) -> Link:
        return self.graph.add("CLIPTextEncode", clip=clip or self.models.clip, text=words)

    def empty(self, batch: int = 1) -> Link:
        return self.graph.add(
            "EmptyLatentImage", width=self.size, height=self.size, batch_size=batch
        )

    def image(self) -> Link:
        return self.graph.add("LoadImage", image="picture.png")

    def mask(self) -> Link:
        """White is repainted: the right half."""
        return self.graph.add("LoadImageMask", image="mask.png", channel="red")

    def sample(self, **changed: Any) -> Link:
        inputs = {
            "model": self.models.model,
            "seed": self.seed,
            "steps": self.steps,
            "cfg": 6.0,
            "denoise": 1.0,
            "sampler_name": "euler",
            "scheduler": "normal",
        }
        inputs.update(changed)
        for name, make in (
            ("positive", lambda: self.positive),
            ("negative", lambda: self.negative),
            ("latent_image", self.empty),
        ):
            if name not in inputs:
                inputs[name] = make()
        return self.graph.add("KSampler", **inputs)

    def decode(self, samples: Link) -> Link:
        return self.graph.add("VAEDecode", samples=samples, vae=self.models.vae)

    def save(self, images: Link) -> None:
        self.graph.add("SaveImage", images=images, filename_prefix="luna")

    def finish(self, samples: Link) -> None:
        self.save(self.decode(samples))


def build(feature: Callable[[Picture], None], loader: Loader, **settings: Any) -> dict[str, Any]:
    """The prompt to POST."""
    graph = Graph()
    feature(Picture(graph, loader(graph), **settings))
    return graph.nodes
