"""A Matplotlib figure that a notebook shows by itself, without pyplot."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

__all__ = ["Sheet"]


class Sheet(Figure):
    """A figure that isn't pyplot's, so that nothing global keeps it, and that shows all the same.

    IPython learns how to show figures only when pyplot is first used; without that, a notebook
    would print a line of text. Where it has learned it, its own way is taken.
    """

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
