"""The grey-value window of both networks."""

from torch import Tensor

WINDOW_CENTRE_HU = -500.0
WINDOW_WIDTH_HU = 1600.0
"""Liu et al., "Intelligent Detection for CT Image of COVID-19 using Deep Learning": lung window (-500, 1600)."""


def hu_windowed(volume_hu: Tensor) -> Tensor:
    """HU -1300..300 to 0..1, clipped."""
    lowest = WINDOW_CENTRE_HU - WINDOW_WIDTH_HU / 2
    return ((volume_hu - lowest) / WINDOW_WIDTH_HU).clamp(0.0, 1.0)
