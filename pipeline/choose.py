"""The choice of the one series of a study that is analysed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import NoSuitableSeriesError, PipelineError, UnreadableStudyError, WrongVolumeError
from pipeline.kernels import KernelUse
from pipeline.read import ImageHeader, StudyHeaders, UnreadableFile, read_headers
from pipeline.series import WHOLE_SHARE, JudgedSeries, judge_series
from pipeline.study import PassedOverSeries, SeriesChoice

NEAR_SLICES_MM = 5.0
"""Slices further apart are a worse choice than any kernel makes good."""

THIN_ENOUGH_MM = 1.0
"""Thinner slices see no more on the grid of the networks."""

MOST_REASONS = 5
"""An error names this many series one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """One reason to prefer a series; the first that differs decides."""

    rank: Callable[[JudgedSeries], float]
    """Lower is better."""
    why_not: Callable[[JudgedSeries, JudgedSeries], str]
    """Of the other series, then the chosen one."""


def choose_series(paths: Iterable[Path]) -> SeriesChoice:
    """The axial chest CT series that shows lung tissue best, and why each other one was passed over.

    Raises:
        NoSuitableSeriesError: No series is an axial CT series.
        WrongVolumeError: There are axial CT series, but no one's slices make an even volume.
        UnreadableStudyError: Nothing could be read, or what cannot be read may be what is missing.
    """
    headers = read_headers(paths)
    judged = [judge_series(images) for images in _images_by_series(headers)]
    usable = [series for series in judged if not series.against]
    if not usable:
        raise _refusal(judged, headers)
    preferences = _preferences(max(series.extent_mm for series in usable))
    ranked = sorted(usable, key=lambda series: [preference.rank(series) for preference in preferences])
    chosen = ranked[0]
    return SeriesChoice(
        series_instance_uid=chosen.series_instance_uid,
        description=chosen.description,
        reason=_why_chosen(chosen),
        slice_headers=chosen.stack.slices if chosen.stack else (),
        passed_over=tuple(_passed_over(series, chosen, preferences) for series in judged if series is not chosen),
        qualifications=(*chosen.notes, *_reading_notes(headers.unreadable)),
    )


def _images_by_series(headers: StudyHeaders) -> list[list[ImageHeader]]:
    """Ordered by series number, then UID."""
    series: dict[str, list[ImageHeader]] = defaultdict(list)
    for image in headers.images:
        series[image.series_instance_uid].append(image)
    return sorted(series.values(), key=lambda images: (images[0].series_number or 0, images[0].series_instance_uid))


def _preferences(tallest_mm: float) -> tuple[Preference, ...]:
    return (
        Preference(rank=lambda series: series.region_rank, why_not=lambda *_: "another series is labelled as chest"),
        Preference(
            rank=lambda series: not series.is_original, why_not=lambda *_: "its images are not the original ones"
        ),
        Preference(rank=lambda series: series.extent_mm < WHOLE_SHARE * tallest_mm, why_not=_shows_less),
        Preference(rank=lambda series: _spacing_mm(series) > NEAR_SLICES_MM, why_not=_wider_slices),
        Preference(rank=lambda series: series.kernel_use, why_not=_worse_kernel),
        Preference(rank=lambda series: max(THIN_ENOUGH_MM, round(_spacing_mm(series), 1)), why_not=_wider_slices),
        Preference(rank=lambda series: -series.extent_mm, why_not=_shows_less),
    )


def _spacing_mm(series: JudgedSeries) -> float:
    return series.stack.spacing_mm if series.stack else 0.0


def _shows_less(other: JudgedSeries, chosen: JudgedSeries) -> str:
    return f"it shows {other.extent_mm:.0f} mm of the body, the chosen series {chosen.extent_mm:.0f} mm"


def _wider_slices(other: JudgedSeries, chosen: JudgedSeries) -> str:
    return f"its slices are {_spacing_mm(other):.1f} mm apart, those of the chosen series {_spacing_mm(chosen):.1f} mm"


def _worse_kernel(other: JudgedSeries, chosen: JudgedSeries) -> str:
    return (
        f"its {_kernel_words(other)} shows lung tissue less well than the {_kernel_words(chosen)} of the chosen series"
    )


def _kernel_words(series: JudgedSeries) -> str:
    words = {
        KernelUse.LUNG: "lung kernel",
        KernelUse.SHARP: "sharp kernel",
        KernelUse.OTHER: "kernel",
    }[series.kernel_use]
    return f"{words} {series.kernel}" if series.kernel else "unnamed kernel"


def _why_chosen(series: JudgedSeries) -> str:
    count = len(series.stack.slices) if series.stack else 0
    kind = "Original" if series.is_original else "Derived"
    return f"{kind} axial CT, {count} slices {_spacing_mm(series):.1f} mm apart, {_kernel_words(series)}."


def _passed_over(series: JudgedSeries, chosen: JudgedSeries, preferences: Sequence[Preference]) -> PassedOverSeries:
    reason = series.against or next(
        (
            preference.why_not(series, chosen)
            for preference in preferences
            if preference.rank(series) > preference.rank(chosen)
        ),
        "it is as good as the chosen series, which comes first",
    )
    return PassedOverSeries(
        series_instance_uid=series.series_instance_uid,
        description=series.description,
        reason=_sentence(reason),
    )


def _refusal(judged: Sequence[JudgedSeries], headers: StudyHeaders) -> PipelineError:
    """The error that says what is wrong with the series that came closest."""
    broken = [file for file in headers.unreadable if file.is_dicom]
    if broken or not judged:
        return UnreadableStudyError(_unreadable_reason(headers))
    closest = [series for series in judged if not series.objections]
    reasons = [f"{series.label}: {series.against}" for series in closest or judged]
    more = len(reasons) - MOST_REASONS
    listed = ". ".join(_sentence(reason).removesuffix(".") for reason in reasons[:MOST_REASONS])
    tail = f". {more} more series are no better." if more > 0 else "."
    strangers = f" Files that could not be read: {_named(headers.unreadable)}." if headers.unreadable else ""
    if closest:
        return WrongVolumeError(f"No series makes an even volume. {listed}{tail}{strangers}")
    return NoSuitableSeriesError(f"No series is an axial CT series of original slices. {listed}{tail}{strangers}")


def _unreadable_reason(headers: StudyHeaders) -> str:
    if not headers.unreadable:
        return "The study has no files."
    total = len(headers.images) + len(headers.unreadable)
    named = _named(headers.unreadable)
    return f"{len(headers.unreadable)} of {total} files cannot be read: {named}. Send the study again."


def _reading_notes(unreadable: Sequence[UnreadableFile]) -> tuple[str, ...]:
    damaged = [file for file in unreadable if file.is_dicom]
    return (f"Files that could not be read: {_named(damaged)}.",) if damaged else ()


def _named(files: Sequence[UnreadableFile]) -> str:
    listed = ", ".join(f"{file.path.name} ({file.reason})" for file in files[:MOST_REASONS])
    more = len(files) - MOST_REASONS
    return f"{listed} and {more} more" if more > 0 else listed


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
