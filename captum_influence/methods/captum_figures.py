"""Attributions of any layer, drawn by ``captum.attr.visualization``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from captum.attr import visualization
from torch import Tensor

from captum_influence.units.geometry import Geometry
from captum_influence.visualization.style import LIGHT, empty_figure, pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["captum_arrays", "captum_figure"]

_SIGNS = ("all", "positive", "negative", "absolute_value")


def captum_arrays(
    values: Tensor, picture: Tensor, geometry: Geometry | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an attribution and a picture in the layout that Captum draws.

    Args:
        values: (channels, height, width) or (height, width), of any layer; channels are summed.
        picture: (3, height, width) in [0, 1], whole, at any size.
        geometry: where the layer's places look, :meth:`Geometry.of`; None: as if they divided the
            picture evenly, which shifts maps of layers without padding.

    Returns:
        The attribution (height, width, 1), enlarged bilinearly to the picture, and the picture
        (height, width, 3).

    Raises:
        ValueError: for other shapes, or an attribution that isn't finite.
    """
    if values.ndim not in (2, 3) or picture.ndim != 3:
        raise ValueError(
            "expected one attribution (channels, height, width) or (height, width) and a picture "
            f"(3, height, width), got {tuple(values.shape)} and {tuple(picture.shape)}"
        )
    if not bool(values.isfinite().all()):
        raise ValueError(f"an attribution of shape {tuple(values.shape)} holds NaN or infinity")
    plane = values.detach().double().cpu()
    plane = plane.sum(0) if plane.ndim == 3 else plane
    size = (int(picture.shape[1]), int(picture.shape[2]))
    if geometry is not None or plane.shape != size:
        rows, columns = plane.shape
        at = Geometry.even((rows, columns), size) if geometry is None else geometry.scaled(size)
        plane = at.enlarged(plane[None, None])[0, 0]
    return plane[..., None].numpy(), pixels(picture)


def captum_figure(
    values: Tensor,
    picture: Tensor,
    methods: Sequence[str] = ("original_image", "blended_heat_map"),
    signs: Sequence[str] = ("all", "all"),
    geometry: Geometry | None = None,
    titles: Sequence[str] = (),
    **settings: Any,
) -> Figure:
    """Draw panels by ``captum.attr.visualization.visualize_image_attr``, also of empty maps.

    Captum divides by what it draws, and stops where nothing has the sign that is asked for. Here
    such a panel shows the picture alone, and its title says that there is nothing.

    Args:
        values: as for :func:`captum_arrays`.
        picture: as for :func:`captum_arrays`.
        methods: Captum's, one per panel.
        signs: Captum's, one per panel.
        geometry: as for :func:`captum_arrays`.
        titles: one per panel, or none at all.
        settings: further arguments of Captum's function.

    Raises:
        ValueError: if signs are unknown or not as many as methods, or shapes are wrong.
    """
    if titles and len(titles) != len(methods):
        raise ValueError(f"expected {len(methods)} titles, one per panel, got {len(titles)}")
    if len(methods) != len(signs) or not methods or not set(signs) <= set(_SIGNS):
        raise ValueError(
            f"expected one sign out of {_SIGNS} for each method, got {list(methods)} and "
            f"{list(signs)}"
        )
    plane, image = captum_arrays(values, picture, geometry)
    plane = plane / (np.abs(plane).max() or 1.0)  # Captum warns about small ones
    figure = empty_figure(4.0 * len(methods), 4.3, LIGHT)
    for place, (method, sign) in enumerate(zip(methods, signs, strict=True), start=1):
        axes = figure.add_subplot(1, len(methods), place)
        bare = method == "original_image"
        nothing = not bare and not _some(plane, sign)
        visualization.visualize_image_attr(
            np.ones_like(plane) if bare or nothing else plane,  # it divides by it even so
            image,
            "original_image" if nothing else method,
            "all" if bare or nothing else sign,
            plt_fig_axis=(figure, axes),
            title=_title(titles[place - 1 : place], sign if nothing else None),
            use_pyplot=False,
            **settings,
        )
    return figure


_WORDS = dict(zip(_SIGNS, ("but zeros", "positive", "negative", "but zeros"), strict=True))


def _title(given: Sequence[str], missing: str | None) -> str | None:
    parts = [*given, *([f"nothing {_WORDS[missing]}"] if missing else [])]
    return ": ".join(part for part in parts if part) or None


def _some(plane: NDArray[Any], sign: str) -> bool:
    if sign == "positive":
        return bool((plane > 0).any())
    return bool((plane < 0).any() if sign == "negative" else plane.any())
