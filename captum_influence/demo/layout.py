"""What a demo scene shows besides its class: colours, texture, background and place."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from captum_influence.demo.surfaces import BACKGROUNDS, TEXTURES, Colour, random_colour

SIZE = 64
"""Height and width of a scene in pixels."""


@dataclass(frozen=True)
class Layout:
    """Everything about a scene but its class.

    Attributes:
        texture: a name of ``TEXTURES``; lies on the object.
        background: a name of ``BACKGROUNDS``.
        colour: the object's colour, red, green, blue in [0, 1].
        trim: the object's second colour.
        centre: the object's middle, (x, y) in pixels from the upper left.
        radius: half the object's width in pixels.
        mirrored: whether the object faces left.
        brightness: factor on the whole picture, before it is clipped to [0, 1].
        background_seed: seed of the background's own randomness.
        shortcut: whether a planted ``Shortcut`` is drawn.
    """

    texture: str
    background: str
    colour: Colour
    trim: Colour
    centre: tuple[float, float]
    radius: float
    mirrored: bool
    brightness: float
    background_seed: int
    shortcut: bool = False

    def __post_init__(self) -> None:
        check_name("texture", self.texture, TEXTURES)
        check_name("background", self.background, BACKGROUNDS)
        check_colour("colour", self.colour)
        check_colour("trim", self.trim)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Layout":
        """Draw a layout at random; the whole object lies inside the picture."""
        radius = rng.uniform(19.0, 27.0)
        slack = SIZE / 2 - radius - 1.0
        across, down = rng.uniform(-slack, slack, 2)
        return cls(
            texture=str(rng.choice(list(TEXTURES))),
            background=str(rng.choice(list(BACKGROUNDS))),
            colour=random_colour(rng),
            trim=random_colour(rng),
            centre=(SIZE / 2 + across, SIZE / 2 + down),
            radius=radius,
            mirrored=bool(rng.random() < 0.5),
            brightness=rng.uniform(0.75, 1.15),
            background_seed=int(rng.integers(2**31)),
        )


def check_name(what: str, name: str, known: Mapping[str, object]) -> None:
    """Raise a ValueError that lists the known names if ``name`` is none of them."""
    if name not in known:
        raise ValueError(
            f"expected {what} to be one of {list(known)}; got {name!r}; pick one of these"
        )


def check_colour(what: str, colour: Colour) -> None:
    """Raise a ValueError if ``colour`` isn't three numbers in [0, 1]."""
    if len(colour) != 3 or not all(0.0 <= value <= 1.0 for value in colour):
        raise ValueError(
            f"expected {what} to be three numbers in [0, 1]; got {tuple(colour)}; "
            "give (red, green, blue), and divide by 255 if they are bytes"
        )
