"""Scenes of two coloured shapes: which there are, how they are drawn, how they are described. Numbers only, no model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image, ImageDraw

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "green": (39, 154, 84),
    "blue": (45, 98, 214),
    "yellow": (235, 190, 40),
}
SHAPES = ("circle", "square", "triangle", "cross")
PLACES = ("top left", "top right", "bottom left", "bottom right")
GLYPHS: tuple[str, ...] = tuple(f"{c}-{s}" for c, s in product(COLOURS, SHAPES))
"""Every coloured shape; the words of the text-only grids that the language model learned from."""

CELLS = 4  # cells per side; a cell is one patch of the vision tower
CELL = 16  # pixels
SIDE = CELLS * CELL


@dataclass(frozen=True)
class Thing:
    """One coloured shape in one cell (row, column)."""

    colour: str
    shape: str
    row: int
    column: int

    @property
    def place(self) -> str:
        """The quarter of the picture that it lies in."""
        vertical = "top" if self.row < CELLS // 2 else "bottom"
        return f"{vertical} {'left' if self.column < CELLS // 2 else 'right'}"

    @property
    def glyph(self) -> int:
        """Its number among GLYPHS."""
        return GLYPHS.index(f"{self.colour}-{self.shape}")


@dataclass(frozen=True)
class Scene:
    """Two things in different quarters, in reading order of the quarters; ``seed`` fixes how it is drawn."""

    things: tuple[Thing, Thing]
    seed: int

    @property
    def caption(self) -> str:
        """ "a red circle in the top left and a blue square in the bottom right"."""
        return " and ".join(f"a {t.colour} {t.shape} in the {t.place}" for t in self.things)

    @property
    def is_held_out(self) -> bool:
        """Whether its pair of coloured shapes is kept out of all training: one in eight of the pairs."""
        first, second = sorted(t.glyph for t in self.things)
        return (first * 7 + second * 3) % 8 == 0

    def grid(self) -> list[int | None]:
        """Glyph number per cell in reading order, None where nothing is."""
        cells: list[int | None] = [None] * (CELLS * CELLS)
        for thing in self.things:
            cells[thing.row * CELLS + thing.column] = thing.glyph
        return cells

    def draw(self) -> Image.Image:
        """A 64 x 64 RGB picture: grey noise, shapes of varying size and shade, shifted within their cells."""
        noise = np.random.default_rng(self.seed)
        base = noise.integers(215, 245)
        pixels = np.clip(base + noise.normal(0, 6, (SIDE, SIDE, 1)) + noise.normal(0, 2, (SIDE, SIDE, 3)), 0, 255)
        picture = Image.fromarray(pixels.astype(np.uint8))
        pen = ImageDraw.Draw(picture)
        for thing in self.things:
            _draw_thing(pen, thing, noise)
        return picture


def scenes(count: int, held_out: bool | None, seed: int) -> list[Scene]:
    """Scenes of the training (False) or the held-out (True) pairs, or of all (None); the same for the same seed."""
    draw = random.Random(f"{seed}-{held_out}")
    found: list[Scene] = []
    while len(found) < count:
        scene = _random_scene(draw)
        if held_out is None or scene.is_held_out == held_out:
            found.append(scene)
    return found


def _random_scene(draw: random.Random) -> Scene:
    half = CELLS // 2
    quarters = sorted(draw.sample(range(4), 2))
    things = [
        Thing(
            draw.choice(list(COLOURS)),
            draw.choice(SHAPES),
            (quarter // 2) * half + draw.randrange(half),
            (quarter % 2) * half + draw.randrange(half),
        )
        for quarter in quarters
    ]
    return Scene((things[0], things[1]), draw.randrange(2**31))


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, noise: np.random.Generator) -> None:
    shade = noise.integers(-18, 19, 3)
    red, green, blue = (int(np.clip(v + s, 0, 255)) for v, s in zip(COLOURS[thing.colour], shade, strict=True))
    fill = (red, green, blue)
    radius = int(noise.integers(5, 8))
    x = thing.column * CELL + CELL // 2 + int(noise.integers(-1, 2))
    y = thing.row * CELL + CELL // 2 + int(noise.integers(-1, 2))
    left, top, right, bottom = x - radius, y - radius, x + radius - 1, y + radius - 1
    if thing.shape == "circle":
        pen.ellipse((left, top, right, bottom), fill=fill)
    elif thing.shape == "square":
        pen.rectangle((left, top, right, bottom), fill=fill)
    elif thing.shape == "triangle":
        pen.polygon(((x, top), (right, bottom), (left, bottom)), fill=fill)
    else:
        arm = max(1, radius // 3)
        pen.rectangle((x - arm, top, x + arm - 1, bottom), fill=fill)
        pen.rectangle((left, y - arm, right, y + arm - 1), fill=fill)


def attributes(caption: str) -> list[tuple[str, str, str]]:
    """(colour, shape, place) of each thing that a caption names; words that are missing are ""."""
    found = []
    for part in caption.split(" and "):
        words = part.split()
        colour = next((w for w in words if w in COLOURS), "")
        shape = next((w for w in words if w in SHAPES), "")
        place = next((p for p in PLACES if p in part), "")
        found.append((colour, shape, place))
    return found


def attributes_right(caption: str, truth: str) -> float:
    """Share of the six attributes (colour, shape, place of two things) that a caption has right."""
    found, wanted = attributes(caption), attributes(truth)
    hits = sum(a == b for pair in zip(found, wanted, strict=False) for a, b in zip(*pair, strict=True))
    return hits / (3 * len(wanted))
