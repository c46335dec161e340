"""Many pictures on one sheet, each above its caption."""

import pathlib
import textwrap

import numpy
from PIL import Image, ImageDraw, ImageFont

QUALITY = 82  # of WebP; keeps the files small
LINE = 11


def to_arrays(pixels):
    """[B, 3, H, W] in [-1, 1] to uint8 [H, W, 3] each."""
    return list(((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())


def contact_sheet(pictures, captions, columns, path, side=None):
    """uint8 pictures in rows from left to right; `side`: reduce each to this width."""
    side, gap = side or pictures[0].shape[0], 6
    font = ImageFont.load_default(size=9)
    texts = [textwrap.wrap(caption, max(8, side // 5)) for caption in captions]
    height = side + LINE * max(map(len, texts)) + gap
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * height + gap), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for i, (picture, lines) in enumerate(zip(pictures, texts, strict=True)):
        x, y = gap + i % columns * (side + gap), gap + i // columns * height
        image = Image.fromarray(numpy.ascontiguousarray(picture))
        sheet.paste(image if image.width == side else image.resize((side, side), Image.LANCZOS), (x, y))
        for row, line in enumerate(lines):
            draw.text((x, y + side + row * LINE), line, (30, 30, 30), font)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "WEBP", quality=QUALITY, method=6)
