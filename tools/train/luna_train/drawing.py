"""Draws a scene: flat shapes with dark outlines at four times the size, reduced, then its style."""

import math

import numpy
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from . import scene as scenes

INK = (28, 26, 32)
COLOUR_VALUES = {"red": (214, 40, 40), "orange": (247, 127, 0), "yellow": (252, 216, 40), "green": (50, 158, 68),
                 "blue": (36, 96, 214), "purple": (122, 48, 168), "pink": (248, 140, 190), "brown": (124, 76, 40),
                 "white": (246, 246, 242)}
OVERSAMPLING = 4


def _mix(a, b, share):
    return tuple(int(round(x + (y - x) * share)) for x, y in zip(a, b))


class _Pen:
    """Shapes in an object's own frame: its middle at 0, its reach about 1, y downwards."""

    def __init__(self, draw, x, y, reach, canvas, main):
        self.draw, self.x, self.y, self.reach = draw, x, y, reach
        self.line = max(1, round(canvas * 0.012))
        self.main, self.dark, self.light = main, _mix(main, (0, 0, 0), 0.3), _mix(main, (255, 255, 255), 0.5)

    def _at(self, x, y):
        return self.x + x * self.reach, self.y + y * self.reach

    def polygon(self, points, fill):
        points = [self._at(*point) for point in points]
        self.draw.polygon(points, fill=fill)
        self.draw.line(points + points[:2], fill=INK, width=self.line, joint="curve")

    def ellipse(self, x0, y0, x1, y1, fill, outline=True):
        self.draw.ellipse([self._at(x0, y0), self._at(x1, y1)], fill=fill,
                          outline=INK if outline else None, width=self.line if outline else 0)

    def stroke(self, points, colour, width):
        self.draw.line([self._at(*point) for point in points], fill=colour,
                       width=max(1, round(width * self.reach)), joint="curve")

    def half_disc(self, x0, y0, x1, y1, fill):
        """The upper half of an ellipse in the box."""
        middle, rx, ry = ((x0 + x1) / 2, y1), (x1 - x0) / 2, y1 - y0
        angles = [math.pi + math.pi * i / 24 for i in range(25)]
        self.polygon([(middle[0] + rx * math.cos(a), middle[1] + ry * math.sin(a)) for a in angles], fill)


def _ball(pen):
    pen.ellipse(-0.9, -0.9, 0.9, 0.9, pen.main)
    pen.ellipse(-0.55, -0.6, -0.1, -0.15, pen.light, outline=False)


def _box(pen):
    pen.polygon([(-0.9, -0.35), (0.35, -0.35), (0.35, 0.9), (-0.9, 0.9)], pen.main)
    pen.polygon([(-0.9, -0.35), (-0.4, -0.85), (0.85, -0.85), (0.35, -0.35)], pen.light)
    pen.polygon([(0.35, -0.35), (0.85, -0.85), (0.85, 0.4), (0.35, 0.9)], pen.dark)


def _star(pen):
    reach = [1.0 if i % 2 == 0 else 0.42 for i in range(10)]
    pen.polygon([(r * math.sin(math.pi * i / 5), -r * math.cos(math.pi * i / 5)) for i, r in enumerate(reach)], pen.main)


def _heart(pen):
    angles = [2 * math.pi * i / 40 for i in range(40)]
    pen.polygon([(math.sin(a) ** 3 * 0.95, -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a)
                                            - math.cos(4 * a)) / 17) for a in angles], pen.main)


def _moon(pen):
    outer = [math.pi * (0.35 + 1.3 * i / 24) for i in range(25)]
    inner = [math.pi * (1.5 - 1.0 * i / 24) for i in range(25)]
    points = [(0.25 + 0.95 * math.cos(a), 0.95 * math.sin(a)) for a in outer]
    points += [(0.62 + 0.72 * math.cos(a), -0.72 * -math.sin(a)) for a in inner]
    pen.polygon(points, pen.main)


def _house(pen):
    pen.polygon([(-0.7, -0.1), (0.7, -0.1), (0.7, 0.9), (-0.7, 0.9)], pen.main)
    pen.polygon([(-0.95, -0.1), (0, -0.95), (0.95, -0.1)], pen.dark)
    pen.polygon([(-0.15, 0.3), (0.25, 0.3), (0.25, 0.9), (-0.15, 0.9)], (92, 58, 34))


def _tree(pen):
    pen.polygon([(-0.14, 0.5), (0.14, 0.5), (0.14, 0.95), (-0.14, 0.95)], (110, 70, 40))
    pen.polygon([(-0.8, 0.6), (0, -0.3), (0.8, 0.6)], pen.main)
    pen.polygon([(-0.6, 0.05), (0, -0.95), (0.6, 0.05)], pen.main)


def _car(pen):
    pen.polygon([(-0.5, -0.05), (-0.3, -0.55), (0.35, -0.55), (0.6, -0.05)], (176, 214, 232))
    pen.polygon([(-0.98, -0.05), (0.98, -0.05), (0.98, 0.45), (-0.98, 0.45)], pen.main)
    for x in (-0.55, 0.55):
        pen.ellipse(x - 0.27, 0.2, x + 0.27, 0.74, (44, 44, 48))


def _boat(pen):
    pen.polygon([(-0.95, 0.35), (0.95, 0.35), (0.6, 0.85), (-0.6, 0.85)], pen.main)
    pen.stroke([(0, 0.35), (0, -0.95)], (92, 58, 34), 0.1)
    pen.polygon([(0.08, -0.9), (0.75, 0.2), (0.08, 0.2)], (244, 240, 226))


def _fish(pen):
    pen.polygon([(0.4, 0), (0.98, -0.5), (0.98, 0.5)], pen.dark)
    pen.ellipse(-0.95, -0.5, 0.6, 0.5, pen.main)
    pen.ellipse(-0.68, -0.24, -0.42, 0.02, (250, 250, 250))


def _mushroom(pen):
    pen.polygon([(-0.25, 0.05), (0.25, 0.05), (0.34, 0.92), (-0.34, 0.92)], (240, 228, 204))
    pen.half_disc(-0.95, -0.85, 0.95, 0.15, pen.main)
    for x, y in ((-0.5, -0.15), (0.05, -0.5), (0.5, -0.12)):
        pen.ellipse(x - 0.15, y - 0.15, x + 0.15, y + 0.15, (250, 250, 246), outline=False)


def _cup(pen):
    pen.ellipse(0.3, -0.3, 0.95, 0.45, (230, 230, 230))
    pen.ellipse(0.42, -0.12, 0.75, 0.28, INK)
    pen.polygon([(-0.75, -0.6), (0.55, -0.6), (0.42, 0.8), (-0.62, 0.8)], pen.main)
    pen.ellipse(-0.75, -0.75, 0.55, -0.42, pen.dark)


def _flower(pen):
    pen.stroke([(0, 0.1), (0, 0.98)], (40, 122, 52), 0.14)
    for i in range(6):
        x, y = 0.42 * math.cos(math.pi * i / 3), -0.3 + 0.42 * math.sin(math.pi * i / 3)
        pen.ellipse(x - 0.29, y - 0.29, x + 0.29, y + 0.29, pen.main)
    pen.ellipse(-0.24, -0.54, 0.24, -0.06, (250, 204, 60))


def _cat(pen):
    for side in (-1, 1):
        pen.polygon([(side * 0.85, -0.95), (side * 0.2, -0.6), (side * 0.8, -0.1)], pen.main)
    pen.ellipse(-0.88, -0.7, 0.88, 0.85, pen.main)
    for side in (-1, 1):
        pen.ellipse(side * 0.36 - 0.15, -0.2, side * 0.36 + 0.15, 0.14, INK, outline=False)
    pen.polygon([(-0.13, 0.28), (0.13, 0.28), (0, 0.45)], (240, 130, 150))


def _umbrella(pen):
    pen.stroke([(0, 0), (0, 0.8), (0.12, 0.93), (0.28, 0.8)], (92, 58, 34), 0.11)
    pen.half_disc(-0.98, -0.85, 0.98, 0.1, pen.main)
    pen.polygon([(-0.3, 0.1), (0, -0.85), (0.3, 0.1)], pen.light)


def _rocket(pen):
    pen.polygon([(-0.2, 0.55), (0.2, 0.55), (0, 0.99)], (250, 176, 40))
    for side in (-1, 1):
        pen.polygon([(side * 0.3, 0.1), (side * 0.75, 0.65), (side * 0.3, 0.55)], pen.dark)
    pen.polygon([(0, -0.98), (0.28, -0.6), (0.36, -0.1), (0.36, 0.55), (-0.36, 0.55), (-0.36, -0.1), (-0.28, -0.6)],
                pen.main)
    pen.ellipse(-0.17, -0.4, 0.17, -0.06, (176, 214, 232))


SHAPES = {"ball": _ball, "box": _box, "star": _star, "heart": _heart, "moon": _moon, "house": _house, "tree": _tree,
          "car": _car, "boat": _boat, "fish": _fish, "mushroom": _mushroom, "cup": _cup, "flower": _flower, "cat": _cat,
          "umbrella": _umbrella, "rocket": _rocket}


class _Ground:
    """The picture as a whole: both axes from 0 to 1."""

    def __init__(self, draw, canvas, rng):
        self.draw, self.canvas, self.rng = draw, canvas, rng

    def band(self, top, bottom, colour):
        self.draw.rectangle([0, top * self.canvas, self.canvas, bottom * self.canvas], fill=colour)

    def polygon(self, points, colour):
        self.draw.polygon([(x * self.canvas, y * self.canvas) for x, y in points], fill=colour)

    def disc(self, x, y, reach, colour):
        c = self.canvas
        self.draw.ellipse([(x - reach) * c, (y - reach) * c, (x + reach) * c, (y + reach) * c], fill=colour)

    def horizon(self):
        return 0.62 + float(self.rng.uniform(-0.04, 0.04))


def _meadow(ground):
    ground.band(0, 1, (168, 216, 244))
    h = ground.horizon()
    ground.disc(0.2, h + 0.5, 0.56, (126, 196, 96))
    ground.disc(0.85, h + 0.55, 0.6, (104, 178, 80))
    ground.band(h + 0.12, 1, (104, 178, 80))


def _sea(ground):
    ground.band(0, 1, (196, 230, 248))
    h = ground.horizon()
    ground.band(h, 1, (40, 112, 176))
    ground.band(h + 0.14, h + 0.17, (92, 156, 208))
    ground.band(h + 0.27, h + 0.3, (92, 156, 208))


def _desert(ground):
    ground.band(0, 1, (250, 228, 178))
    h = ground.horizon()
    ground.polygon([(0, h), (0.35, h - 0.14), (0.75, h + 0.03), (1, h - 0.08), (1, 1), (0, 1)], (224, 178, 104))
    ground.polygon([(0, h + 0.2), (0.5, h + 0.08), (1, h + 0.22), (1, 1), (0, 1)], (204, 154, 82))


def _night(ground):
    ground.band(0, 1, (22, 28, 74))
    ground.band(ground.horizon() + 0.2, 1, (14, 18, 46))
    for x, y in ((0.12, 0.15), (0.36, 0.08), (0.62, 0.17), (0.88, 0.1), (0.22, 0.38), (0.8, 0.36), (0.5, 0.3)):
        ground.disc(x, y, 0.014, (250, 244, 200))


def _snow(ground):
    ground.band(0, 1, (206, 226, 242))
    h = ground.horizon()
    ground.polygon([(-0.1, h), (0.22, h - 0.36), (0.55, h)], (136, 156, 186))
    ground.polygon([(0.4, h), (0.75, h - 0.45), (1.15, h)], (116, 138, 172))
    ground.band(h, 1, (240, 246, 252))


def _city(ground):
    ground.band(0, 1, (190, 196, 210))
    for x, width, top in ((0.0, 0.18, 0.3), (0.18, 0.14, 0.45), (0.32, 0.2, 0.2), (0.52, 0.15, 0.4), (0.67, 0.18, 0.25),
                          (0.85, 0.15, 0.42)):
        ground.polygon([(x, top), (x + width, top), (x + width, 1), (x, 1)], (108, 114, 134) if x in (0.18, 0.52, 0.85)
                       else (134, 140, 160))
    ground.band(0.86, 1, (74, 76, 86))


def _sunset(ground):
    for i, colour in enumerate(((246, 128, 84), (248, 154, 84), (250, 180, 92), (252, 206, 112))):
        ground.band(i * 0.16, 1, colour)
    h = ground.horizon()
    ground.disc(0.5, h, 0.17, (255, 240, 170))
    ground.band(h, 1, (96, 44, 84))


def _forest(ground):
    ground.band(0, 1, (66, 112, 92))
    for i, x in enumerate((0.02, 0.2, 0.4, 0.6, 0.8, 0.98)):
        top = 0.1 if i % 2 else 0.22
        ground.polygon([(x - 0.16, 0.82), (x, top), (x + 0.16, 0.82)], (28, 70, 52))
    ground.band(0.8, 1, (52, 54, 36))


GROUNDS = {"grey": lambda g: g.band(0, 1, (150, 150, 154)), "cream": lambda g: g.band(0, 1, (250, 240, 214)),
           "black": lambda g: g.band(0, 1, (30, 30, 34)), "meadow": _meadow, "sea": _sea, "desert": _desert,
           "night": _night, "snow": _snow, "city": _city, "sunset": _sunset, "forest": _forest}

REACH = {"small": 0.17, "medium": 0.24, "big": 0.32}
PLACES = {"middle": (0.5, 0.52), "left": (0.27, 0.52), "right": (0.73, 0.52), "top": (0.5, 0.27), "bottom": (0.5, 0.75)}


def _draw_thing(draw, thing, canvas, rng, reach):
    x, y = PLACES[thing.position]
    reach *= float(rng.uniform(0.93, 1.07))
    x, y = (min(max(at + float(rng.uniform(-0.03, 0.03)), reach + 0.02), 0.98 - reach) for at in (x, y))
    spread = {1: (0,), 2: (-0.24, 0.24), 3: (-0.32, 0, 0.32)}[thing.count]
    if thing.count > 1:
        reach = {2: 0.2, 3: 0.15}[thing.count]
    for shift in spread:
        SHAPES[thing.object](_Pen(draw, (x + shift) * canvas, y * canvas, reach * canvas, canvas,
                                  COLOUR_VALUES[thing.colour]))


def _pixel_art(image, size):
    """Cells of a 32nd of the width, a palette of few colours."""
    small = image.resize((32, 32), Image.BOX).quantize(12, method=Image.Quantize.MEDIANCUT).convert("RGB")
    return small.resize((size, size), Image.NEAREST)


def _pencil(image):
    """Dark lines and light grey shading on paper."""
    grey = ImageOps.grayscale(image)
    edges = numpy.asarray(grey.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(0.8)), numpy.float32)
    edges[:2], edges[-2:], edges[:, :2], edges[:, -2:] = 0, 0, 0, 0
    paper = 244 - (255 - numpy.asarray(grey, numpy.float32)) * 0.22 - edges * 1.3
    return Image.fromarray(numpy.clip(paper, 30, 246).astype(numpy.uint8)).convert("RGB")


def _duotone(image):
    """A print in two inks: brightness alone, from indigo over magenta to pale yellow."""
    grey = numpy.asarray(ImageOps.grayscale(image), numpy.float32)
    inks = numpy.asarray(((34, 20, 84), (214, 60, 124), (255, 232, 176)), numpy.float32)
    channels = [numpy.interp(grey, (25, 125, 245), inks[:, channel]) for channel in range(3)]
    return Image.fromarray(numpy.stack(channels, 2).astype(numpy.uint8))


def draw(scene, size):
    """The scene as a PIL image, size × size."""
    rng = numpy.random.default_rng(scene.jitter)
    canvas = size * OVERSAMPLING
    image = Image.new("RGB", (canvas, canvas))
    pen = ImageDraw.Draw(image)
    GROUNDS[scene.background](_Ground(pen, canvas, rng))
    for thing in scene.things:
        _draw_thing(pen, thing, canvas, rng, 0.21 if len(scene.things) > 1 else REACH[thing.size])
    image = image.resize((size, size), Image.BOX)
    if scene.style == "pixel":
        return _pixel_art(image, size)
    if scene.style == "pencil":
        return _pencil(image)
    if scene.style == "duotone":
        return _duotone(image)
    return image


def pixels(scene, size):
    """uint8 [size, size, 3]."""
    return numpy.asarray(draw(scene, size))
