"""What makes one usable series better than another: a table, read from top to bottom, the first difference decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.kernels import KernelUse
from pipeline.places import WHOLE_SHARE
from pipeline.series import JudgedSeries
from pipeline.stack import Stack

NEAR_SLICES_MM = 5.0
"""Coarser slices are a worse choice than any kernel makes good."""

THIN_ENOUGH_MM = 1.0
"""Thinner slices see no more on the grid of the networks, and are noisier."""

WIDE_ENOUGH_MM = 260.0
"""Images whose shorter side is this long show both lungs of small adults at least; narrower ones are often of the spine, the
heart, one lung, or a child."""

NARROW_SHARE = 0.75
"""Of the widest series it is held against: less is another field of view, unless both are wide enough."""

TALL_ENOUGH_MM = 300.0
"""Images this tall show lungs as a whole, but for the tallest: taller ones show more of other parts."""

TALLEST_CHEST_MM = 400.0
"""Taller images show the abdomen too: how much of the lungs a series shows cannot be told from its share of their height."""

LUNGS_MM = 240.0
"""Height of usual lungs: beside images that show the abdomen too, those of the lungs alone are this tall or a little taller."""

_REGIONS = ("labelled as chest", "not labelled by body part", "labelled as another body part")

_KERNELS = {KernelUse.LUNG: "lung kernel", KernelUse.SHARP: "sharp kernel", KernelUse.OTHER: "kernel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One reason to prefer a series."""

    name: str
    rank: Callable[[JudgedSeries], float]
    """Lower is better."""
    words: Callable[[JudgedSeries], str]
    """What a series is by this criterion."""
    why_not: Callable[[JudgedSeries, JudgedSeries], str]
    """Of a series that is worse than the chosen one, then the chosen one; reads on after "it" or stands alone."""


def criteria(usable: Sequence[JudgedSeries], *, without_lungs: Sequence[JudgedSeries] = ()) -> tuple[Criterion, ...]:
    """The table; docs/series-choice.md explains it.

    Args:
        usable: The series that can be read. How much each shows is held against those that no row above puts behind.
        without_lungs: Series that were read and show no lungs: what lies where one of them does comes after the others.
    """
    place = (_place(without_lungs),) if without_lungs else ()
    what_it_is = (_RULE, *place, *_WHAT_IT_IS)
    coverage = _coverage(_best(usable, what_it_is))
    return (*what_it_is, coverage, _width(_best(usable, (*what_it_is, coverage))), *_HOW_WELL_IT_SHOWS)


def _place(without_lungs: Sequence[JudgedSeries]) -> Criterion:
    """Another reconstruction of a head is a head too, whatever it is called."""
    return Criterion(
        name="place",
        rank=lambda series: any(_lies_within(series, other) for other in without_lungs),
        words=lambda series: (
            "where a series shows no lungs"
            if any(_lies_within(series, other) for other in without_lungs)
            else "another part of the body than the series without lungs"
        ),
        why_not=lambda *_: "it lies where a series that was read shows no lungs",
    )


def _lies_within(series: JudgedSeries, other: JudgedSeries) -> bool:
    """Whether most of the height of an axial series is that of another one."""
    if not series.stack or not other.stack or {series.plane, other.plane} != {"axial"}:
        return False
    (low_mm, high_mm), (other_low_mm, other_high_mm) = _between(series.stack), _between(other.stack)
    shared_mm = min(high_mm, other_high_mm) - max(low_mm, other_low_mm)
    return shared_mm >= WHOLE_SHARE * (high_mm - low_mm)


def _between(stack: Stack) -> tuple[float, float]:
    """The lowest and the highest slice, in mm towards the head."""
    towards_head_mm = stack.positions_mm[:, 2]
    return float(towards_head_mm.min()), float(towards_head_mm.max())


def _best(usable: Sequence[JudgedSeries], rows: Sequence[Criterion]) -> list[JudgedSeries]:
    """The series that are as good as any by these rows."""
    ranks = [[row.rank(series) for row in rows] for series in usable]
    return [series for series, rank in zip(usable, ranks, strict=True) if rank == min(ranks)]


def _coverage(eligible: Sequence[JudgedSeries]) -> Criterion:
    heights_mm = [series.extent_mm for series in eligible]
    tallest_chest_mm = max((height_mm for height_mm in heights_mm if height_mm <= TALLEST_CHEST_MM), default=0.0)
    of_chest_mm = min(TALL_ENOUGH_MM, WHOLE_SHARE * tallest_chest_mm)
    whole_mm = max(of_chest_mm, min(LUNGS_MM, WHOLE_SHARE * max(heights_mm, default=0.0)))
    return Criterion(
        name="coverage",
        rank=lambda series: series.extent_mm < whole_mm,
        words=lambda series: f"{series.extent_mm:.0f} mm of the body",
        why_not=_shows_less,
    )


def _width(eligible: Sequence[JudgedSeries]) -> Criterion:
    widest_mm = max((series.width_mm for series in eligible), default=0.0)
    narrow_mm = min(WIDE_ENOUGH_MM, NARROW_SHARE * widest_mm)
    return Criterion(
        name="width",
        rank=lambda series: series.width_mm < narrow_mm,
        words=lambda series: f"images {series.width_mm:.0f} mm wide",
        why_not=_narrower,
    )


def kernel_words(series: JudgedSeries) -> str:
    """The kernel and what it is good for."""
    words = _KERNELS[series.kernel_use]
    return f"{words} {series.kernel}" if series.kernel else "unnamed kernel"


def _rule_words(series: JudgedSeries) -> str:
    preference = series.rules.preference
    return "not preferred by a rule" if preference is None else f"preferred by rule {preference} for its sender"


def _slice_words(series: JudgedSeries) -> str:
    return f"slices {series.coarseness_mm:.1f} mm thick or apart"


def _shows_less(other: JudgedSeries, chosen: JudgedSeries) -> str:
    return f"it shows {other.extent_mm:.0f} mm of the body, the chosen series {chosen.extent_mm:.0f} mm"


def _narrower(other: JudgedSeries, chosen: JudgedSeries) -> str:
    return f"its images are {other.width_mm:.0f} mm wide, those of the chosen series {chosen.width_mm:.0f} mm"


def _coarser(other: JudgedSeries, chosen: JudgedSeries) -> str:
    mine, theirs = other.coarseness_mm, chosen.coarseness_mm
    return f"its slices are {mine:.1f} mm thick or apart, those of the chosen series {theirs:.1f} mm"


def _too_thin(other: JudgedSeries, chosen: JudgedSeries) -> str:
    mine, theirs = other.coarseness_mm, chosen.coarseness_mm
    return f"its slices of {mine:.1f} mm are noisier than the {theirs:.1f} mm of the chosen series, and show no more"


def _worse_kernel(other: JudgedSeries, chosen: JudgedSeries) -> str:
    return f"its {kernel_words(other)} shows lung tissue less well than the {kernel_words(chosen)} of the chosen series"


_RULE = Criterion(
    name="rule of the site",
    rank=lambda series: series.rules.preference or float("inf"),
    words=_rule_words,
    why_not=lambda *_: "a rule for its sender prefers the chosen series",
)

_WHAT_IT_IS: tuple[Criterion, ...] = (
    Criterion(
        name="body part",
        rank=lambda series: series.region_rank,
        words=lambda series: _REGIONS[series.region_rank],
        why_not=lambda other, chosen: (
            f"it is {_REGIONS[other.region_rank]}, the chosen series is {_REGIONS[chosen.region_rank]}"
        ),
    ),
    Criterion(
        name="plane",
        rank=lambda series: series.plane != "axial",
        words=lambda series: f"{series.plane} slices",
        why_not=lambda other, chosen: f"its slices are {other.plane}, those of the chosen series {chosen.plane}",
    ),
    Criterion(
        name="original images",
        rank=lambda series: not series.is_original,
        words=lambda series: "original images" if series.is_original else "derived images",
        why_not=lambda *_: "its images are not the original ones",
    ),
)

_HOW_WELL_IT_SHOWS: tuple[Criterion, ...] = (
    Criterion(
        name="slices near enough",
        rank=lambda series: series.coarseness_mm > NEAR_SLICES_MM,
        words=_slice_words,
        why_not=_coarser,
    ),
    Criterion(
        name="kernel",
        rank=lambda series: series.kernel_use,
        words=kernel_words,
        why_not=_worse_kernel,
    ),
    Criterion(
        name="contrast",
        rank=lambda series: series.contrast,
        words=lambda series: series.contrast.words,
        why_not=lambda other, chosen: f"{other.contrast.words}, the chosen series: {chosen.contrast.words}",
    ),
    Criterion(
        name="compression",
        rank=lambda series: series.is_lossy,
        words=lambda series: "compressed with loss" if series.is_lossy else "no loss by compression",
        why_not=lambda *_: "it was compressed with loss, the chosen series was not",
    ),
    Criterion(
        name="slice thickness",
        rank=lambda series: max(THIN_ENOUGH_MM, round(series.coarseness_mm, 1)),
        words=_slice_words,
        why_not=_coarser,
    ),
    Criterion(
        name="no thinner than useful",
        rank=lambda series: max(0.0, THIN_ENOUGH_MM - round(series.coarseness_mm, 1)),
        words=_slice_words,
        why_not=_too_thin,
    ),
    Criterion(
        name="extent",
        rank=lambda series: -series.extent_mm,
        words=lambda series: f"{series.extent_mm:.0f} mm of the body",
        why_not=_shows_less,
    ),
)
