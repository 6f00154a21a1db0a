"""Little pictures with ground truth: a textured object on a background, and masks of both.

Only the object's shape depends on the class. Colour, texture, background, place, size, facing and
brightness are drawn independently of it, so nothing else can tell the classes apart, unless a
``Shortcut`` is planted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from captum_influence.demo.drawing import Drawing
from captum_influence.demo.layout import Layout, check_name
from captum_influence.demo.objects import BLUEPRINTS, CLASSES
from captum_influence.demo.surfaces import Colour

_MASKS = ("object", "part", "shortcut")


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and the truth about it.

    Attributes:
        image: (3, 64, 64) float32 in [0, 1].
        label: index of the class in ``CLASSES``.
        class_name: name of the class.
        masks: name -> (64, 64) bool. ``"object"`` and ``"background"`` are complements. ``"part"``
            is what tells the class from its twin: the roof of the coupe, for the convertible the
            region where the roof would be; for a class without a twin it is the whole object.
            ``"shortcut"`` is the planted mark, empty without one. A pixel that a region touches at
            all belongs to it.
        layout: texture, background, colours and place.
    """

    image: Tensor
    label: int
    class_name: str
    masks: Mapping[str, Tensor]
    layout: Layout

    @property
    def texture(self) -> str:
        """Name of the texture on the object."""
        return self.layout.texture

    @property
    def background(self) -> str:
        """Name of the background."""
        return self.layout.background

    def with_class(self, class_name: str) -> "Scene":
        """Draw the same scene with an object of another class."""
        return render(class_name, self.layout)

    def with_shortcut(self, planted: bool = True) -> "Scene":
        """Draw the same scene with the planted mark, or without: nothing else changes."""
        return render(self.class_name, replace(self.layout, shortcut=planted))

    def twin(self) -> "Scene":
        """Draw the counterfactual twin: identical but for the pixels of ``masks["part"]``.

        Raises:
            ValueError: if the class has no twin.
        """
        twin = BLUEPRINTS[self.class_name].twin
        if twin is None:
            pairs = [name for name, blueprint in BLUEPRINTS.items() if blueprint.twin]
            raise ValueError(
                f"expected a class that has a twin, one of {pairs}; got {self.class_name!r}; "
                "use with_class(...) to draw the scene with any other class"
            )
        return self.with_class(twin)


@dataclass(frozen=True)
class Shortcut:
    """A planted spurious cue: a little white fence, with two rails, in the lower left corner.

    Attributes:
        class_name: the class whose pictures carry the fence.
        probability: how often they do.
        elsewhere: how often the pictures of the other classes do.
    """

    class_name: str
    probability: float = 1.0
    elsewhere: float = 0.0

    def __post_init__(self) -> None:
        check_name("class_name", self.class_name, BLUEPRINTS)
        for name in ("probability", "elsewhere"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"expected {name} in [0, 1]; got {value!r}; give the share of pictures"
                )

    def falls_on(self, class_name: str, chance: float) -> bool:
        """Say whether a picture carries the fence, from a uniform ``chance`` in [0, 1)."""
        return chance < (self.probability if class_name == self.class_name else self.elsewhere)


def make_scene(
    class_name: str,
    *,
    seed: int = 0,
    texture: str | None = None,
    background: str | None = None,
    colour: Colour | None = None,
    shortcut: Shortcut | None = None,
) -> Scene:
    """Draw one scene; what isn't fixed is drawn from ``seed``, and the same for every class.

    Args:
        class_name: one of ``CLASSES``.
        seed: any non-negative int; no global random state is read or changed.
        texture: ``"plain"``, ``"stripes"``, ``"dots"`` or ``"checks"``; drawn if None.
        background: ``"meadow"``, ``"sea"``, ``"gradient"``, ``"noise"`` or ``"bricks"``; drawn if
            None.
        colour: red, green, blue of the object in [0, 1]; drawn if None.
        shortcut: a spurious cue to plant, with the probability that it states.

    Raises:
        ValueError: if a name is unknown or a colour is not three numbers in [0, 1].

    Example:
        >>> scene = make_scene("coupe", seed=3, background="sea")
        >>> tuple(scene.image.shape), sorted(scene.masks)
        ((3, 64, 64), ['background', 'object', 'part', 'shortcut'])
    """
    rng = np.random.default_rng(seed)
    drawn = Layout.draw(rng)
    layout = replace(
        drawn,
        texture=drawn.texture if texture is None else texture,
        background=drawn.background if background is None else background,
        colour=drawn.colour if colour is None else colour,
        shortcut=shortcut is not None and shortcut.falls_on(class_name, rng.random()),
    )
    return render(class_name, layout)


def render(class_name: str, layout: Layout) -> Scene:
    """Draw an object of a class into a layout.

    Raises:
        ValueError: if the class is unknown.
    """
    check_name("class_name", class_name, BLUEPRINTS)
    drawing = Drawing.start(layout)
    drawing.paint_object(BLUEPRINTS[class_name])
    if layout.shortcut:
        drawing.paint_fence()
    masks = {name: torch.from_numpy(drawing.mask(name)) for name in _MASKS}
    masks["background"] = ~masks["object"]
    image = torch.from_numpy(drawing.image())
    return Scene(image, CLASSES.index(class_name), class_name, MappingProxyType(masks), layout)


class SceneDataset(Dataset[tuple[Tensor, int]]):
    """Scenes drawn on demand: item ``i`` depends on ``(seed, i)`` alone; the classes take turns.

    Args:
        length: number of scenes.
        seed: any non-negative int.
        classes: the classes that take turns; labels stay indices into ``CLASSES``.
        shortcut: a spurious cue to plant.

    Example:
        >>> image, label = SceneDataset(100, seed=1)[9]
        >>> CLASSES[label]
        'convertible'
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int = 0,
        classes: Sequence[str] = CLASSES,
        shortcut: Shortcut | None = None,
    ) -> None:
        """Check the arguments; nothing is drawn yet."""
        if length < 1:
            raise ValueError(
                f"expected a positive length; got {length}; ask for at least one scene"
            )
        if isinstance(classes, str) or not classes:
            raise ValueError(
                f"expected a sequence of class names; got {classes!r}; pass e.g. ['coupe']"
            )
        for name in classes:
            check_name("class", name, BLUEPRINTS)
        self.length, self.seed, self.classes, self.shortcut = length, seed, tuple(classes), shortcut

    def __len__(self) -> int:
        """Return the number of scenes."""
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return the image (3, 64, 64) and the label of one scene."""
        scene = self.scene(index)
        return scene.image, scene.label

    def scene(self, index: int) -> Scene:
        """Draw one scene with its masks; a negative index counts from the end."""
        if not -self.length <= index < self.length:
            raise IndexError(
                f"expected an index below {self.length}; got {index}; "
                "make the data set longer or the index smaller"
            )
        index %= self.length
        rng = np.random.default_rng((self.seed, index))
        layout, name = Layout.draw(rng), self.classes[index % len(self.classes)]
        planted = self.shortcut is not None and self.shortcut.falls_on(name, rng.random())
        return render(name, replace(layout, shortcut=planted))

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Draw all scenes at once: images (length, 3, 64, 64) and labels (length,)."""
        images, labels = zip(*(self[index] for index in range(self.length)), strict=True)
        return torch.stack(images), torch.tensor(labels)
