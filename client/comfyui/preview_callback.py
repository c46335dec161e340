"""ComfyUI's callback of a sampling, fed from the daemon's progress: the bar, the preview, and the
last x0."""

from dataclasses import dataclass
from typing import Any

import numpy
from PIL import Image


@dataclass(frozen=True)
class StepCallback:
    """What latent_preview.prepare_callback() has enclosed, or nothing at all."""

    bar: Any = None
    previewer: Any = None
    x0_output: dict[str, Any] | None = None

    @staticmethod
    def of(callback: Any) -> "StepCallback | None":
        """None for a function of somebody else, who must see every step's x0."""
        if callback is None:
            return StepCallback()
        if (
            getattr(callback, "__module__", "") != "latent_preview"
            or getattr(callback, "__qualname__", "") != "prepare_callback.<locals>.callback"
        ):
            return None
        enclosed = dict(
            zip(
                callback.__code__.co_freevars,
                (cell.cell_contents for cell in callback.__closure__ or ()),
                strict=True,
            )
        )
        if "pbar" not in enclosed or "previewer" not in enclosed:
            return None
        return StepCallback(enclosed["pbar"], enclosed["previewer"], enclosed.get("x0_output_dict"))

    @property
    def wants_x0(self) -> bool:
        return self.x0_output is not None

    @property
    def wants_previews(self) -> bool:
        return self.previewer is not None

    def step(self, done: int, steps: int, pictures: numpy.ndarray | None) -> None:
        """pictures: u8 [rows, H, W, 3], of which the first is shown, as ComfyUI does."""
        if self.bar is None:
            return
        preview = None
        if pictures is not None:
            import latent_preview

            preview = (
                "JPEG",
                Image.fromarray(numpy.asarray(pictures)[0]),
                latent_preview.MAX_PREVIEW_RESOLUTION,
            )
        self.bar.update_absolute(done, steps, preview)

    def finished(self, x0: Any) -> None:
        """x0 in the model's scale, where somebody wants it."""
        if self.x0_output is not None:
            self.x0_output["x0"] = x0
