"""Involvement of each lung as bars, and over the dates of the patient as a line."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dicom_node.results.colours import Rgb
from dicom_node.results.page import words
from dicom_node.results.page.fonts import Weight
from dicom_node.results.page.pen import GREY_INK, INK, RULE_INK, WHITE, Box, Pen, Stroke, Style
from dicom_node.wording import lungs_in_words
from pipeline.findings import Findings, UsedPrior

TITLE: Final = Style(size_pt=6.8, ink=GREY_INK)
TEXT: Final = Style(size_pt=8.2)
SMALL: Final = Style(size_pt=6.8, ink=GREY_INK)
BAR_INK: Final[Rgb] = (43, 98, 140)
TRACK_INK: Final[Rgb] = (233, 236, 239)
NO_PRIOR: Final = "No earlier study was compared"
NO_TREND: Final = "Not known for an earlier study"
BAR_MM: Final = 2.4
BARS_MM: Final = 28.0
"""Height of the bars with their title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One study of the trend."""

    at: datetime
    day: str
    """YYYY-MM-DD as its own scanner has it."""
    involvement_percent: float


def draw_bars(pen: Pen, box: Box, findings: Findings) -> None:
    """How much of the right lung, of the left and of both is lesion; the ticks are the quarters. A lung that was not found
    has no bar."""
    pen.text((box.left, box.top + 3.6), "Involvement of the lungs", TITLE)
    pen.rule((box.left, box.top + 5), (box.right, box.top + 5), Stroke(width_pt=0.7))
    rows: list[tuple[str, float | None, float]] = [
        (f"{lung.side.value.capitalize()} lung", lung.involvement_percent, lung.volume_ml) for lung in findings.lungs
    ]
    whole = lungs_in_words(findings.missing_lungs).capitalize()
    rows.append((whole, findings.involvement_percent, sum(lung.volume_ml for lung in findings.lungs)))
    for number, (name, share, volume_ml) in enumerate(rows):
        y = box.top + 8.6 + number * 7.0
        if share is None:
            pen.text((box.left, y), f"{name}: not found", SMALL)
            continue
        pen.text((box.left, y), f"{name}, {volume_ml:.0f} ml", SMALL)
        bar = Box(left=box.left, top=y + 1.0, width=box.width - 12, height=BAR_MM)
        _draw_bar(pen, bar, share)
        pen.text((box.right, bar.bottom), words.percent(share), replace(TEXT, weight=Weight.SEMIBOLD, anchor=1.0))


def _draw_bar(pen: Pen, bar: Box, share: float) -> None:
    pen.area(bar, Stroke(ink=None, fill=TRACK_INK))
    pen.area(replace(bar, width=bar.width * min(share, 100.0) / 100), Stroke(ink=None, fill=BAR_INK))
    for quarter in (1, 2, 3):
        x = bar.left + bar.width * quarter / 4
        pen.rule((x, bar.top), (x, bar.bottom), Stroke(ink=WHITE, width_pt=0.6))


def trend_of(findings: Findings, study_day: str) -> list[TrendPoint]:
    """The studies whose involvement and date are known, oldest first, the current one last; none without a prior.

    Args:
        findings: Of the current study.
        study_day: YYYY-MM-DD on which it was acquired; empty where its images do not say.
    """
    if not findings.priors_used:
        return []
    dated = [(prior.acquired_at, "", prior.involvement_percent) for prior in reversed(findings.priors_used)]
    dated.append((_current_date(findings.priors_used[0]), study_day, findings.involvement_percent))
    return [
        TrendPoint(at=at, day=day or words.day(at), involvement_percent=share)
        for at, day, share in dated
        if at is not None and share is not None
    ]


def _current_date(newest: UsedPrior) -> datetime | None:
    """When the current study was acquired, from what the newest earlier one says."""
    if newest.acquired_at is None or newest.interval_days is None:
        return None
    return newest.acquired_at + timedelta(days=newest.interval_days)


def draw_trend(pen: Pen, box: Box, findings: Findings, study_day: str) -> None:
    """Involvement of the lungs over the dates; words where there is one date only."""
    points = trend_of(findings, study_day)
    pen.text((box.left, box.top + 3.6), "Involvement over time, % of the lungs", TITLE)
    pen.rule((box.left, box.top + 5), (box.right, box.top + 5), Stroke(width_pt=0.7))
    if len(points) < 2:
        nothing = NO_TREND if findings.priors_used else NO_PRIOR
        pen.text((box.left, box.top + 9.2), nothing, replace(TEXT, ink=GREY_INK))
        return
    plot = Box(left=box.left + 8, top=box.top + 11, width=box.width - 16, height=box.height - 16.5)
    pen.rule((plot.left - 5, plot.bottom), (box.right, plot.bottom), Stroke(ink=RULE_INK))
    places = _places(points, plot)
    pen.text((plot.left - 6, plot.bottom + 0.8), "0", replace(SMALL, anchor=1.0))
    pen.lines(places, Stroke(ink=BAR_INK, width_pt=1.1))
    _write_values(pen, plot, points, places)
    _write_days(pen, plot, points, places)


def _places(points: list[TrendPoint], plot: Box) -> list[tuple[float, float]]:
    first, last = points[0].at, points[-1].at
    whole_s = max((last - first).total_seconds(), 1.0)
    most = max(max(point.involvement_percent for point in points), 0.1)
    return [
        (
            plot.left + plot.width * (point.at - first).total_seconds() / whole_s,
            plot.bottom - plot.height * point.involvement_percent / most,
        )
        for point in points
    ]


def _write_values(pen: Pen, plot: Box, points: list[TrendPoint], places: list[tuple[float, float]]) -> None:
    """The last one strong; one that would touch its neighbour is left out."""
    style = Style(size_pt=7.2, anchor=0.5)
    free_until = plot.right + 10
    for number in range(len(points) - 1, -1, -1):
        point, (x, y) = points[number], places[number]
        is_last = number == len(points) - 1
        pen.dot((x, y), 0.95 if is_last else 0.75, BAR_INK)
        text = words.percent(point.involvement_percent).removesuffix(" %")
        half = pen.width(text, style) / 2
        if x + half + 0.8 <= free_until:
            pen.text((x, y - 1.7), text, replace(style, weight=Weight.SEMIBOLD if is_last else Weight.REGULAR, ink=INK))
            free_until = x - half


def _write_days(pen: Pen, plot: Box, points: list[TrendPoint], places: list[tuple[float, float]]) -> None:
    """The date of the last and first study, and those between that fit."""
    style = replace(SMALL, anchor=0.5)
    half = pen.width("0000-00-00", style) / 2
    written: list[float] = []
    for number in (len(points) - 1, *range(len(points) - 1)):
        x = places[number][0]
        pen.rule((x, plot.bottom), (x, plot.bottom + 0.9), Stroke(ink=GREY_INK))
        if all(abs(x - other) >= 2 * half + 1 for other in written):
            written.append(x)
            pen.text((x, plot.bottom + 3.9), points[number].day, style)
