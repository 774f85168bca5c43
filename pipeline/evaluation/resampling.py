"""Intervals of figures: over resampled patients, or of a plain share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.study import BoolArray, Float64Array

NORMAL_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

Statistic: TypeAlias = Callable[[Float64Array], float]
"""A figure, given how often each patient counts, (patients,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int
    """How many patients, studies or lesions it is made of."""


def bootstrapped(statistic: Statistic, strata: BoolArray, *, samples: int, seed: int) -> Estimate:
    """A figure with the percentile interval over patients drawn anew, as many of each stratum as there are.

    Args:
        statistic: Called with all ones, then with each sample.
        strata: (patients,), diseased or not.
        samples: How many.
        seed: The same seed draws the same patients, so that differences of figures are paired.
    """
    generator = np.random.default_rng(seed)
    value = statistic(np.ones(len(strata)))
    drawn = np.array([statistic(_drawn_weights(strata, generator)) for _ in range(samples)])
    known = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(known):
        return Estimate(value=value, n=len(strata))
    low, high = np.quantile(known, (0.025, 0.975))
    return Estimate(value=value, low=float(low), high=float(high), n=len(strata))


def share(hits: int, of: int) -> Estimate:
    """A proportion with Wilson's interval; nan of nothing."""
    if not of:
        return Estimate(value=math.nan, n=0)
    value, z = hits / of, NORMAL_95
    middle = (value + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(value * (1 - value) / of + z * z / (4 * of * of))
    return Estimate(value=value, low=max(0.0, middle - half), high=min(1.0, middle + half), n=of)


def _drawn_weights(strata: BoolArray, generator: np.random.Generator) -> Float64Array:
    weights = np.zeros(len(strata))
    for stratum in (True, False):
        members = np.flatnonzero(strata == stratum)
        if len(members):
            np.add.at(weights, generator.choice(members, size=len(members)), 1.0)
    return weights
