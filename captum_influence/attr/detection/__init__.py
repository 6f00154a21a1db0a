"""What detectors and networks that score every place are asked: a box, a region."""

from captum_influence.attr.detection.box_score import BoxScore
from captum_influence.attr.detection.region_score import RegionScore

__all__ = ["BoxScore", "RegionScore"]
