"""How what a unit looks at is shown: smoothed, masked, cut out of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.regions import connected_regions, cropped, percentile_mask
from captum_influence.visualization.blur import gaussian_blur

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """What of a map is lit, and how smooth the map is before.

    Attributes:
        percentile: the mask keeps what lies above it.
        sigma: standard deviation of the Gaussian on maps, in pixels.
    """

    percentile: float
    sigma: float

    @staticmethod
    def of(size: tuple[int, int], percentile: float = 95.0, smoothing: float | None = None) -> View:
        """Return the view on pictures of a height and width; smoothed by 1/32 of it by default.

        Raises:
            ValueError: if the smoothing doesn't fit the picture.
        """
        if smoothing is None:
            return View(percentile, min(size) / 32)
        if not 0 <= smoothing < min(size):
            raise ValueError(
                "expected smoothing as a standard deviation in pixels, from 0 to below the shorter "
                f"side of {min(size)}, got {smoothing}"
            )
        return View(percentile, smoothing)

    def interpretation(
        self, unit: UnitInfluence, values: Tensor, picture: Tensor, *, lowest: bool = False
    ) -> InterpretedUnit:
        """Return a unit with its map (height, width) and what that lights of the picture.

        ``lowest`` lights what lowers instead of what raises; the map keeps its signs.
        """
        heat = gaussian_blur(values, self.sigma)
        heat = -heat if lowest else heat
        mask = percentile_mask(heat, self.percentile)
        regions = connected_regions(mask, heat)
        crop, box = cropped(picture, regions[0]) if regions else (None, None)
        return InterpretedUnit(unit, values, self.sigma, mask, regions, box, crop)
