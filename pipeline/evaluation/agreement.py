"""How well measured involvement agrees with the true one."""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.resampling import NORMAL_95
from pipeline.study import Float64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Measured minus true, in percentage points, as Bland and Altman (1986) sum it up."""

    mean: float
    mean_absolute: float
    lower_limit: float
    upper_limit: float
    """Between the limits lie 95 % of the differences, if they are normal."""
    n: int


def agreement(measured: Float64Array, true: Float64Array) -> Agreement:
    """Of (n,) pairs."""
    differences = measured - true
    mean, spread = float(differences.mean()), float(differences.std(ddof=1)) if len(differences) > 1 else np.nan
    return Agreement(
        mean=mean,
        mean_absolute=float(np.abs(differences).mean()),
        lower_limit=mean - NORMAL_95 * spread,
        upper_limit=mean + NORMAL_95 * spread,
        n=len(differences),
    )
