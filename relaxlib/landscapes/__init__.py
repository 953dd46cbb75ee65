"""Losses with their derivatives: the type, the catalogue, and your own functions."""

from relaxlib.landscapes._catalogue import (
    crossed_valleys,
    double_well,
    double_well_2d,
    exponential_ramp,
    lipschitz_double_well,
    mueller_brown,
    quadratic,
    radial_power,
    rugged,
    wide_and_narrow,
)
from relaxlib.landscapes._landscape import Landscape

__all__ = [
    "Landscape",
    "crossed_valleys",
    "double_well",
    "double_well_2d",
    "exponential_ramp",
    "lipschitz_double_well",
    "mueller_brown",
    "quadratic",
    "radial_power",
    "rugged",
    "wide_and_narrow",
]
