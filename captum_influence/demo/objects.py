"""The objects of the demo scenes: which pieces each class is made of, and in which paint.

Two pairs of classes are twins: they share all pieces but those marked ``distinctive``, which one
of the two shows and the other lacks (the roof of the coupe, the sail of the sailboat).
"""

from dataclasses import dataclass, replace

from captum_influence.demo.shapes import Box, Ellipse, Polygon, Shape


@dataclass(frozen=True)
class Piece:
    """One shape of an object.

    Attributes:
        shape: the region, in the object's coordinates.
        paint: ``"fill"`` (the object's colour with its texture), ``"trim"`` (its second colour), or
            a fixed paint of ``surfaces.PAINTS``.
        distinctive: whether the piece belongs to the part that tells a class from its twin.
    """

    shape: Shape
    paint: str
    distinctive: bool = False


@dataclass(frozen=True)
class Blueprint:
    """The pieces of a class from back to front, and whether its distinctive part is shown."""

    pieces: tuple[Piece, ...]
    shows_part: bool = True
    twin: str | None = None

    def is_drawn(self, piece: Piece) -> bool:
        """Say whether a piece is painted, rather than merely outlined in the mask ``"part"``."""
        return self.shows_part or not piece.distinctive

    def is_part(self, piece: Piece) -> bool:
        """Say whether a piece belongs to the part; without a twin, the whole object does."""
        return piece.distinctive or self.twin is None


def _car() -> tuple[Piece, ...]:
    cabin = Polygon(((-0.80, -0.04), (-0.56, -0.60), (0.16, -0.60), (0.50, -0.04)))
    rear_window = Polygon(((-0.61, -0.12), (-0.45, -0.48), (-0.23, -0.48), (-0.23, -0.12)))
    front_window = Polygon(((-0.13, -0.12), (-0.13, -0.48), (0.10, -0.48), (0.32, -0.12)))
    nose = ((0.5, -0.08), (0.92, 0.02), (1.0, 0.14), (1.0, 0.34))
    body = Polygon((*nose, (-1.0, 0.34), (-1.0, 0.05), (-0.94, -0.08)))
    windscreen = Polygon(((0.46, -0.04), (0.28, -0.34), (0.36, -0.34), (0.56, -0.04)))
    return (
        Piece(cabin, "fill", distinctive=True),
        Piece(rear_window, "glass", distinctive=True),
        Piece(front_window, "glass", distinctive=True),
        Piece(windscreen, "dark"),
        Piece(body, "fill"),
        Piece(Box((-0.99, 0.20), (0.99, 0.27)), "trim"),
        Piece(Ellipse((0.90, 0.11), (0.07, 0.06)), "light"),
        *(_wheel(-0.56) + _wheel(0.56)),
    )


def _wheel(across: float) -> tuple[Piece, ...]:
    tyre = Piece(Ellipse((across, 0.34), (0.22, 0.22)), "dark")
    hub = Piece(Ellipse((across, 0.34), (0.10, 0.10)), "light")
    return tyre, hub


def _boat() -> tuple[Piece, ...]:
    main_sail = Polygon(((0.10, -0.92), (0.10, 0.08), (0.82, 0.08)))
    jib = Polygon(((-0.03, -0.80), (-0.03, 0.02), (-0.62, 0.02)))
    hull = Polygon(((-0.92, 0.24), (1.0, 0.20), (0.70, 0.64), (-0.76, 0.64)))
    return (
        Piece(Box((0.0, -0.98), (0.07, 0.30)), "wood", distinctive=True),
        Piece(main_sail, "fill", distinctive=True),
        Piece(jib, "fill", distinctive=True),
        Piece(Box((-0.56, 0.06), (-0.14, 0.30)), "light"),
        Piece(Box((-0.48, 0.11), (-0.22, 0.20)), "glass"),
        Piece(Box((-1.0, 0.18), (-0.86, 0.56)), "dark"),
        Piece(hull, "fill"),
        Piece(Polygon(((-0.89, 0.33), (0.93, 0.30), (0.88, 0.39), (-0.86, 0.42))), "trim"),
    )


def _house() -> tuple[Piece, ...]:
    return (
        Piece(Box((0.38, -0.80), (0.56, -0.20)), "trim"),
        Piece(Box((-0.68, -0.16), (0.68, 0.82)), "fill"),
        Piece(Polygon(((-0.90, -0.12), (0.0, -0.86), (0.90, -0.12))), "trim"),
        Piece(Box((-0.14, 0.28), (0.16, 0.82)), "wood"),
        Piece(Box((-0.54, 0.10), (-0.26, 0.42)), "glass"),
        Piece(Box((0.28, 0.10), (0.56, 0.42)), "glass"),
    )


def _tree() -> tuple[Piece, ...]:
    return (
        Piece(Polygon(((-0.12, 0.1), (0.12, 0.1), (0.18, 0.9), (-0.18, 0.9))), "wood"),
        Piece(Ellipse((-0.36, 0.02), (0.42, 0.38)), "fill"),
        Piece(Ellipse((0.36, 0.02), (0.42, 0.38)), "fill"),
        Piece(Ellipse((0.0, -0.42), (0.52, 0.50)), "fill"),
    )


def _balloon() -> tuple[Piece, ...]:
    return (
        Piece(Polygon(((-0.40, 0.1), (-0.34, 0.1), (-0.14, 0.72), (-0.18, 0.72))), "dark"),
        Piece(Polygon(((0.34, 0.1), (0.40, 0.1), (0.18, 0.72), (0.14, 0.72))), "dark"),
        Piece(Polygon(((-0.58, 0.0), (0.58, 0.0), (0.18, 0.46), (-0.18, 0.46))), "trim"),
        Piece(Ellipse((0.0, -0.30), (0.66, 0.62)), "fill"),
        Piece(Box((-0.20, 0.66), (0.20, 0.94)), "wood"),
    )


def _fish() -> tuple[Piece, ...]:
    return (
        Piece(Polygon(((-0.46, 0.0), (-0.98, -0.44), (-0.84, 0.0), (-0.98, 0.44))), "trim"),
        Piece(Polygon(((-0.24, -0.30), (0.06, -0.66), (0.38, -0.30))), "trim"),
        Piece(Ellipse((0.18, 0.0), (0.76, 0.42)), "fill"),
        Piece(Polygon(((0.12, 0.06), (-0.22, 0.30), (-0.16, 0.0))), "trim"),
        Piece(Ellipse((0.62, -0.10), (0.13, 0.13)), "light"),
        Piece(Ellipse((0.65, -0.10), (0.06, 0.06)), "dark"),
    )


def _blueprints() -> dict[str, Blueprint]:
    coupe = Blueprint(_car(), twin="convertible")
    sailboat = Blueprint(_boat(), twin="motorboat")
    return {
        "coupe": coupe,
        "convertible": replace(coupe, shows_part=False, twin="coupe"),
        "sailboat": sailboat,
        "motorboat": replace(sailboat, shows_part=False, twin="sailboat"),
        "house": Blueprint(_house()),
        "tree": Blueprint(_tree()),
        "balloon": Blueprint(_balloon()),
        "fish": Blueprint(_fish()),
    }


BLUEPRINTS: dict[str, Blueprint] = _blueprints()
CLASSES: tuple[str, ...] = tuple(BLUEPRINTS)
"""The class names of the demo scenes, in the order of the demo network's outputs."""
