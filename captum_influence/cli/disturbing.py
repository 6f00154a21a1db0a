"""Disturbances by their names on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from captum_influence.training import (
    AmplitudeSwap,
    BlurredBackground,
    ChannelStatistics,
    Disturbance,
    FourierStyle,
    GramTransfer,
    MeanBackground,
    NoiseBackground,
    OtherBackground,
    PatchShuffle,
    WhiteBackground,
)

__all__ = ["DISTURBANCES", "disturbance_name", "disturbances"]

DISTURBANCES: Mapping[str, Callable[[int], Disturbance]] = {
    "texture-patches": lambda seed: PatchShuffle(seed=seed),
    "texture-amplitude": lambda seed: AmplitudeSwap(seed=seed),
    "texture-gram": lambda seed: GramTransfer(seed=seed),
    "style-channels": lambda seed: ChannelStatistics(seed=seed),
    "style-fourier": lambda seed: FourierStyle(seed=seed),
    "background-white": lambda seed: WhiteBackground(seed=seed),
    "background-mean": lambda seed: MeanBackground(seed=seed),
    "background-blur": lambda seed: BlurredBackground(seed=seed),
    "background-noise": lambda seed: NoiseBackground(seed=seed),
    "background-other": lambda seed: OtherBackground(seed=seed),
}


def disturbance_name(text: str) -> str:
    """Return the name of a disturbance, as an option's type."""
    if text not in DISTURBANCES:
        raise argparse.ArgumentTypeError(
            f"expected a disturbance, one of {', '.join(DISTURBANCES)}, got {text!r}"
        )
    return text


def disturbances(names: Sequence[str], seed: int) -> dict[str, Disturbance]:
    """Return disturbances by name."""
    return {name: DISTURBANCES[name](seed) for name in names}
