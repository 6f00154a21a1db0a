"""Pictures: a map smoothed, what it lights of the picture, and the part that is cut out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from captum_influence.reports.display import Display, Highlight, Row
from captum_influence.reports.page import fragment
from captum_influence.reports.parts import data_uri, embedded, is_smooth, png_uri
from captum_influence.reports.words import place
from captum_influence.units.geometry import Box
from captum_influence.units.regions import Region, connected_regions, cropped, percentile_mask
from captum_influence.visualization import maps
from captum_influence.visualization.blur import gaussian_blur
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PictureDisplay", "PictureHighlight"]

TEMPLATE = Path(__file__).with_name("picture_highlight.html.j2")
STAGE = Path(__file__).with_name("picture_stage.html.j2")
_THUMBNAIL = 36  # dots per inch: 144 pixels of the longer side
_SPREAD = 0.25  # below this share, the strongest region isn't where "it" lies


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureHighlight(Highlight):
    """What a map lights of a picture.

    Attributes:
        picture: (3, height, width) in [0, 1].
        map: (height, width) what each pixel does, colours added up, signed.
        sigma: the standard deviation of the Gaussian on the map before anything is cut out.
        percentile: the mask keeps what lies above it.
        mask: (height, width) bool: where the smoothed map is highest.
        regions: the connected parts of the mask, the one with the largest share first.
        box: (top, left, bottom, right) of the crop; None if the mask is empty.
        crop: (3, height, width) of the picture around the first region; None without one.
    """

    picture: Tensor
    map: Tensor
    sigma: float
    percentile: float
    mask: Tensor
    regions: tuple[Region, ...]
    box: Box | None
    crop: Tensor | None

    @property
    def heat(self) -> Tensor:
        """The map as it is shown: smoothed by ``sigma``."""
        return gaussian_blur(self.map, self.sigma)

    @property
    def lit_share(self) -> float:
        return sum(region.share for region in self.regions)

    def where(self, raising: str) -> str:
        if not self.regions:
            return ""
        region = self.regions[0]
        top, left, bottom, right = region.box
        spot = place((top + bottom) / 2, (left + right) / 2, *self.map.shape[-2:])
        share = percent(region.share)
        if region.share < _SPREAD:
            return (
                f"{raising.capitalize()} is spread out: the strongest region, in the {spot} "
                f"of the picture, holds {share}."
            )
        return f"{share} of {raising} lies in one region, in the {spot} of the picture."

    def fragment(self, subject: str, measure: str) -> str:
        end = maps.limit(self.heat)
        smooth = is_smooth(self.picture)
        return fragment(
            TEMPLATE,
            subject=subject,
            measure=measure,
            limit=end,
            heat=data_uri(maps.heat_map(self.heat, self.picture, unit=None, end=end)),
            mask=data_uri(maps.mask_outline(self.mask, self.picture, box=self.box)),
            crop=None if self.crop is None else embedded(self.crop, 120, smooth=smooth),
            region=self.regions[0] if self.regions else None,
            lit_share=self.lit_share,
            percent_kept=f"{100 - self.percentile:g} %",
        )

    def code(self) -> str:
        return png_uri(maps.grey_code(self.heat))

    def thumbnail(self) -> str:
        return data_uri(maps.heat_map(self.heat, self.picture, unit=None), _THUMBNAIL)

    def figures(self, unit: str) -> Iterator[tuple[str, Figure]]:
        yield "heat", maps.heat_map(self.heat, self.picture, unit=unit)
        yield "mask", maps.mask_outline(self.mask, self.picture, box=self.box)
        if self.crop is not None:
            yield "crop", maps.picture_figure(self.crop, smooth=is_smooth(self.picture))

    def to_dict(self) -> dict[str, Any]:
        return {
            "sigma": self.sigma,
            "map_total": float(self.map.double().sum()),
            "masked_share": self.lit_share,
            "regions": [asdict(region) for region in self.regions],
            "box": self.box,
        }


@dataclass(frozen=True, eq=False)
class PictureDisplay(Display):
    """A picture, and how maps over it are smoothed and masked.

    Attributes:
        picture: (3, height, width) in [0, 1].
        percentile: the mask keeps what lies above it.
        sigma: standard deviation of the Gaussian on maps, in pixels.
    """

    noun: ClassVar[str] = "picture"

    picture: Tensor
    percentile: float
    sigma: float

    @staticmethod
    def of(
        picture: Tensor, percentile: float = 95.0, smoothing: float | None = None
    ) -> PictureDisplay:
        """Return a picture's display; maps are smoothed by 1/32 of its shorter side by default.

        Raises:
            ValueError: if the smoothing doesn't fit the picture.
        """
        shorter = min(picture.shape[-2:])
        if smoothing is None:
            return PictureDisplay(picture, percentile, shorter / 32)
        if not 0 <= smoothing < shorter:
            raise ValueError(
                "expected smoothing as a standard deviation in pixels, from 0 to below the shorter "
                f"side of {shorter}, got {smoothing}"
            )
        return PictureDisplay(picture, percentile, smoothing)

    def laid(self, attributions: Tensor) -> Tensor:
        """Add up the colours of (channels, height, width), with their signs."""
        return attributions.sum(dim=0)

    def highlight(self, values: Tensor, *, lowest: bool = False) -> PictureHighlight:
        heat = gaussian_blur(values, self.sigma)
        heat = -heat if lowest else heat
        mask = percentile_mask(heat, self.percentile)
        regions = connected_regions(mask, heat)
        crop, box = cropped(self.picture, regions[0]) if regions else (None, None)
        return PictureHighlight(
            picture=self.picture,
            map=values,
            sigma=self.sigma,
            percentile=self.percentile,
            mask=mask,
            regions=regions,
            box=box,
            crop=crop,
        )

    def overview(self, rows: Sequence[Row], title: str) -> Figure:
        drawn = []
        for row in rows:
            if not isinstance(row.seen, PictureHighlight):
                raise TypeError(f"expected maps of a picture, got a {type(row.seen).__name__}")
            seen = row.seen
            drawn.append(
                maps.UnitRow(row.name, row.share, seen.heat, seen.mask, seen.crop, seen.box)
            )
        return maps.overview(self.picture, drawn, title=title)

    def figure(self) -> Figure:
        return maps.picture_figure(self.picture)

    def fragment(self) -> str:
        height, width = self.picture.shape[-2:]
        caption = f"The picture, {width} × {height} pixels as the network sees it."
        return (
            f'<figure><img src="{embedded(self.picture, 120)}" alt="The picture that is explained">'
            f"<figcaption>{caption}</figcaption></figure>"
        )

    def stage(self, seen: Highlight, words: str) -> str:
        if not isinstance(seen, PictureHighlight):
            raise TypeError(f"expected a map of a picture, got a {type(seen).__name__}")
        return fragment(
            STAGE,
            picture=embedded(self.picture, 90),
            heat=png_uri(maps.heat_layer(seen.heat)),
            code=seen.code(),
            words=words,
            crisp=not is_smooth(self.picture),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.noun,
            "size": list(self.picture.shape[-2:]),
            "percentile": self.percentile,
            "sigma": self.sigma,
        }
