"""How lesions come and go over the days of a disease."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

_GONE_BELOW = 0.22
"""Share of the final radius, or of the opacity, below which nothing is left to see."""

_PURE_GROUND_GLASS_SHARE = 0.35
"""Of the lesions, which never consolidate."""


class Course(StrEnum):
    """Course of the disease of one patient; day 0 is the first day of symptoms."""

    HEALTHY = "healthy"
    """No lesion on any day."""
    EARLY = "early"
    """Mild: a few small ground-glass lesions, gone after about three weeks."""
    ADVANCED = "advanced"
    """Many lesions that merge and consolidate, largest at about day 10, fading after day 14."""
    SEVERE = "severe"
    """Most of the lungs by day 10, without recovery."""
    ABSORPTION = "absorption"
    """As ADVANCED, but two weeks ahead: on day 0 the lesions start to shrink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinetics:
    """Size and make-up of one lesion on any day.

    Onset before symptoms by 3.4 +- 2.2 days, ground glass first to come and last to go (Kassin et al. 2021); peak at
    about day 10, absorption from about day 14 (Pan et al. 2020).
    """

    onset_day: float
    rise_days: float
    """From onset to nine tenths of the final radius."""
    consolidation_lag_days: float
    consolidation_peak: float
    """Largest share of the volume that consolidates, 0..1."""
    resolution_day: float
    """infinity: never."""
    resolution_days: float
    """Time constant of fading."""

    def radius_share(self, day: float) -> float:
        """Radius on a day as a share of the final radius, 0 when there is no lesion."""
        age = day - self.onset_day
        if age <= 0:
            return 0.0
        risen = 1.0 - np.exp(-2.3 * age / self.rise_days)
        share = float(risen * self._remaining(day, self.resolution_days * 2.2))
        return share if share >= _GONE_BELOW and self.opacity(day) >= _GONE_BELOW else 0.0

    def consolidation_share(self, day: float) -> float:
        """Share of the lesion's volume that is consolidated, 0..1."""
        ripe = 1.0 / (1.0 + np.exp(-(day - self.onset_day - self.consolidation_lag_days) / 1.0))
        return float(self.consolidation_peak * ripe * self._remaining(day, self.resolution_days * 0.5))

    def opacity(self, day: float) -> float:
        """How far the ground glass has its full density, 0..1."""
        return float(self._remaining(day, self.resolution_days * 1.8))

    def _remaining(self, day: float, time_constant_days: float) -> float:
        return float(np.exp(-max(day - self.resolution_day, 0.0) / time_constant_days))


def draw_kinetics(rng: np.random.Generator, course: Course) -> Kinetics:
    """Random kinetics of one lesion of a patient with the given course."""
    shift_days = -14.0 if course is Course.ABSORPTION else 0.0
    peak = {Course.EARLY: 0.12, Course.SEVERE: 0.75}.get(course, 0.50)
    spread = {Course.EARLY: 2.0, Course.SEVERE: 2.5}.get(course, 4.0)
    onset_day = float(np.clip(rng.normal(-3.4, 2.2), -8.0, 0.0) + rng.exponential(spread)) + shift_days
    resolution_day = float(rng.normal(11.0 if course is Course.EARLY else 14.0, 2.0)) + shift_days
    return Kinetics(
        onset_day=onset_day,
        rise_days=float(rng.uniform(4.0, 9.0)),
        consolidation_lag_days=float(rng.uniform(3.0, 7.0)),
        consolidation_peak=float(rng.beta(1.2, 1.2) * peak * (rng.random() >= _PURE_GROUND_GLASS_SHARE)),
        resolution_day=float("inf") if course is Course.SEVERE else max(resolution_day, onset_day + 5.0),
        resolution_days=float(rng.uniform(4.0, 10.0)),
    )


STATIC = Kinetics(
    onset_day=-np.inf,
    rise_days=1.0,
    consolidation_lag_days=0.0,
    consolidation_peak=0.7,
    resolution_day=np.inf,
    resolution_days=1.0,
)
"""Always there, with a dense core."""
STATIC_GROUND_GLASS = replace(STATIC, consolidation_peak=0.0)
"""Always there, without a core."""
