"""What a picture shows, drawn at random, and the sentence that says so."""

import dataclasses

OBJECTS = ("ball", "box", "star", "heart", "moon", "house", "tree", "car", "boat", "fish", "mushroom",
           "cup", "flower", "cat", "umbrella", "rocket")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white")
BACKGROUNDS = ("grey", "cream", "black", "meadow", "sea", "desert", "night", "snow", "city", "sunset", "forest")
POSITIONS = ("middle", "left", "right", "top", "bottom")
SIZES = ("medium", "small", "big")
STYLES = ("flat", "pixel", "pencil", "duotone")
COLOURLESS = ("pencil", "duotone")  # whose colours say nothing about the things
COUNTS = (1, 2, 3)

SYNONYMS = {"ball": ("ball", "sphere"), "box": ("box", "cube"), "house": ("house", "cottage"),
            "car": ("car", "automobile"), "boat": ("boat", "ship"), "cup": ("cup", "mug"), "cat": ("cat", "kitten"),
            "tree": ("tree", "fir tree"), "moon": ("moon", "crescent moon")}
PLURALS = {"box": "boxes", "fish": "fish"}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "big": ("big", "large", "huge"), "medium": ("",)}
POSITION_PHRASES = {
    "middle": ("in the middle", "in the centre"), "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"), "top": ("at the top", "in the upper half"),
    "bottom": ("at the bottom", "in the lower half")}
BACKGROUND_PHRASES = {
    "grey": ("on a grey background", "on plain grey"), "cream": ("on a cream background", "on plain cream"),
    "black": ("on a black background", "on plain black"), "meadow": ("on a meadow", "in a green meadow"),
    "sea": ("at sea", "on the sea"), "desert": ("in the desert", "in a sandy desert"),
    "night": ("at night", "under the night sky"), "snow": ("in the snow", "in snowy mountains"),
    "city": ("in the city", "before city buildings"), "sunset": ("at sunset", "before the setting sun"),
    "forest": ("in a forest", "in the dark forest")}
STYLE_PHRASES = {"flat": ("",), "pixel": ("pixel art of ", "pixel art, "), "pencil": ("pencil drawing of ",),
                 "duotone": ("",)}  # a LoRA's alone: no caption names it
NUMBER_WORDS = {2: "two", 3: "three"}


@dataclasses.dataclass(frozen=True)
class Thing:
    object: str
    colour: str
    position: str = "middle"
    size: str = "medium"
    count: int = 1


@dataclasses.dataclass(frozen=True)
class Scene:
    things: tuple
    background: str
    style: str = "flat"
    jitter: int = 0  # seed of what no caption tells: small shifts of place, horizon, stars


def held_out(object_, colour):
    """Pairs that no training picture shows: one colour of each object."""
    return (OBJECTS.index(object_) * 4 + 1) % len(COLOURS) == COLOURS.index(colour)


HELD_OUT_PAIRS = tuple((o, c) for o in OBJECTS for c in COLOURS if held_out(o, c))


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _random_pair(rng):
    while True:
        pair = _pick(rng, OBJECTS), _pick(rng, COLOURS)
        if not held_out(*pair):
            return pair


def random_scene(rng, style_shares=(0.9, 0.1, 0.0), two_objects=0.2, counted=0.08):
    """A scene for training. Shares of the first styles, in the order of STYLES."""
    kind = rng.random()
    if kind < two_objects:
        places = _pick(rng, (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")))
        things = tuple(Thing(*_random_pair(rng), position=place) for place in places)
    elif kind < two_objects + counted:
        things = (Thing(*_random_pair(rng), count=int(rng.integers(2, 4))),)
    else:
        things = (Thing(*_random_pair(rng), position=_pick(rng, POSITIONS), size=_pick(rng, SIZES)),)
    style = STYLES[int(rng.choice(len(style_shares), p=style_shares))]
    return Scene(things, _pick(rng, BACKGROUNDS), style, int(rng.integers(1 << 31)))


def held_out_scene(rng, style="flat"):
    """One object in a combination of object and colour that training never drew."""
    pair = _pick(rng, HELD_OUT_PAIRS)
    thing = Thing(*pair, position=_pick(rng, POSITIONS), size=_pick(rng, ("medium", "big")))
    return Scene((thing,), _pick(rng, BACKGROUNDS), style, int(rng.integers(1 << 31)))


def _noun(thing, rng):
    noun = _pick(rng, SYNONYMS.get(thing.object, (thing.object,)))
    return noun if thing.count == 1 else PLURALS.get(noun, noun + "s")


def _phrase(thing, rng, keep):
    words = [NUMBER_WORDS.get(thing.count, "")] if thing.count > 1 else ["a"]
    if keep(0.85):
        words.append(_pick(rng, SIZE_WORDS[thing.size]))
    if keep(0.96):
        words.append(thing.colour)
    words.append(_noun(thing, rng))
    text = " ".join(word for word in words if word)
    if text.startswith("a orange"):
        text = "an" + text[1:]
    if thing.count == 1 and keep(0.85):
        text += " " + _pick(rng, POSITION_PHRASES[thing.position])
    return text


def caption(scene, rng, complete=False):
    """A sentence for the scene. Unless `complete`, some of what it shows stays unsaid now and then."""
    def keep(share):
        return complete or rng.random() < share

    text = " and ".join(_phrase(thing, rng, keep) for thing in scene.things)
    if keep(0.93):
        background = _pick(rng, BACKGROUND_PHRASES[scene.background])
        joint = ", " if rng.random() < 0.6 else " "
        text = f"{background}, {text}" if not complete and rng.random() < 0.15 else text + joint + background
    return _pick(rng, STYLE_PHRASES[scene.style]) + text
