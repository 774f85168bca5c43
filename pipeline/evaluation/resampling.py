"""Intervals of figures: over resampled patients, or of a plain share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.study import BoolArray, Float64Array

NORMAL_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

Statistic: TypeAlias = Callable[[Float64Array], float]
"""A figure, given how often each case counts, (cases,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int
    """How many cases, studies or lesions it is made of."""


def bootstrapped(
    statistic: Statistic, strata: BoolArray, *, samples: int, seed: int, patients: NDArray[np.int64] | None = None
) -> Estimate:
    """A figure with the percentile interval over patients drawn anew, as many of each stratum as there are.

    Args:
        statistic: Called with all ones, then with each sample.
        strata: (cases,), diseased or not; a patient is diseased in whom one case is.
        samples: How many.
        seed: The same seed draws the same patients, so that differences of figures are paired.
        patients: (cases,), whose cases are drawn together; None: each is of another patient.
    """
    members = _members(strata, np.arange(len(strata)) if patients is None else patients)
    generator = np.random.default_rng(seed)
    value = statistic(np.ones(len(strata)))
    drawn = np.array([statistic(_drawn_weights(members, len(strata), generator)) for _ in range(samples)])
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


def _members(strata: BoolArray, patients: NDArray[np.int64]) -> list[list[NDArray[np.int64]]]:
    """Per stratum the cases of each of its patients."""
    cases = [np.flatnonzero(patients == number) for number in np.unique(patients)]
    return [[each for each in cases if strata[each].any() == stratum] for stratum in (True, False)]


def _drawn_weights(members: list[list[NDArray[np.int64]]], cases: int, generator: np.random.Generator) -> Float64Array:
    weights = np.zeros(cases)
    for stratum in members:
        if stratum:
            drawn = generator.choice(len(stratum), size=len(stratum))
            np.add.at(weights, np.concatenate([stratum[index] for index in drawn]), 1.0)
    return weights
