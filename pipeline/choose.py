"""The choice of the one series of a study that is analysed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.errors import NoSuitableSeriesError, PipelineError, UnreadableStudyError, WrongVolumeError
from pipeline.image_header import StudyHeaders, UnreadableFile
from pipeline.series import JudgedSeries
from pipeline.series_rules import SourceRules
from pipeline.study import PassedOverSeries, SeriesChoice
from pipeline.survey import StudySurvey, sentence, survey_series

MOST_REASONS = 5
"""An error names this many series one by one."""


def choose_series(
    paths: Iterable[Path], *, rules: Sequence[SourceRules] = (), corrects_tilt: bool = False
) -> SeriesChoice:
    """The chest CT series that shows lung tissue best, and why each other one was passed over.

    Args:
        paths: Files of one study.
        rules: Of the site.
        corrects_tilt: Whether a series with a gantry tilt may be chosen: it is straightened then.

    Raises:
        NoSuitableSeriesError: No series is a CT series that may be read.
        WrongVolumeError: There are CT series, but no one's slices make an even volume.
        UnreadableStudyError: Nothing could be read or decoded, or what cannot be read may be what is missing.
    """
    return choice_of(survey_series(paths, rules=rules, corrects_tilt=corrects_tilt))


def choice_of(survey: StudySurvey) -> SeriesChoice:
    """The chosen series of a survey; see `choose_series`."""
    chosen = survey.chosen
    if chosen is None or chosen.stack is None:
        raise refusal_of(survey)
    verdict = survey.verdict(chosen)
    return SeriesChoice(
        series_instance_uid=chosen.series_instance_uid,
        description=chosen.description,
        reason=verdict.reason,
        slice_headers=chosen.stack.slices,
        passed_over=tuple(_passed_over(survey, series) for series in survey.judged if series is not chosen),
        qualifications=(*chosen.notes, *_in_vain_notes(survey), *_reading_notes(survey.headers.unreadable)),
        number=chosen.number,
        speaks_for=verdict.speaks_for,
        speaks_against=verdict.speaks_against,
    )


def _passed_over(survey: StudySurvey, series: JudgedSeries) -> PassedOverSeries:
    verdict = survey.verdict(series)
    return PassedOverSeries(
        series_instance_uid=series.series_instance_uid,
        description=series.description,
        reason=verdict.reason,
        number=series.number,
        speaks_for=verdict.speaks_for,
        speaks_against=verdict.speaks_against,
    )


def refusal_of(survey: StudySurvey) -> PipelineError:
    """The error that says what is wrong with the series that came closest, of a study of which none can be read."""
    judged, headers = survey.judged, survey.headers
    broken = [file for file in headers.unreadable if file.is_dicom]
    if not judged:
        return UnreadableStudyError(_unreadable_reason(headers))
    if broken:
        return UnreadableStudyError(f"{_unreadable_reason(headers)} Of what can be read: {_reasons_against(judged)}")
    undecodable = [series for series in judged if series.undecodable and not series.objections + series.faults]
    if undecodable:
        named = ". ".join(
            f"{sentence(series.label)[:-1]}: {series.undecodable}" for series in undecodable[:MOST_REASONS]
        )
        return UnreadableStudyError(f"{named}. Send it uncompressed, or in a syntax that `dicom-node check` lists.")
    reasons = _reasons_against(judged)
    strangers = f" Files that could not be read: {_named(headers.unreadable)}." if headers.unreadable else ""
    if _closest(judged):
        return WrongVolumeError(f"No series makes an even volume. {reasons}{strangers}")
    return NoSuitableSeriesError(f"No series is a CT series of original slices. {reasons}{strangers}")


def _closest(judged: Sequence[JudgedSeries]) -> list[JudgedSeries]:
    """CT series that are no even volume."""
    return [series for series in judged if not series.objections]


def _reasons_against(judged: Sequence[JudgedSeries]) -> str:
    """Why the series that came closest cannot be read, a sentence each; of all, where none came close."""
    reasons = [f"{series.label}: {series.against}" for series in _closest(judged) or judged]
    more = len(reasons) - MOST_REASONS
    listed = ". ".join(sentence(reason).removesuffix(".") for reason in reasons[:MOST_REASONS])
    return f"{listed}. {more} more series are no better." if more > 0 else f"{listed}."


def _unreadable_reason(headers: StudyHeaders) -> str:
    if not headers.unreadable:
        return "The study has no files."
    total = len(headers.images) + len(headers.unreadable)
    named = _named(headers.unreadable)
    return f"{len(headers.unreadable)} of {total} files cannot be read: {named}. Send the study again."


def _in_vain_notes(survey: StudySurvey) -> tuple[str, ...]:
    """Of series that come before the chosen one, and show no lungs or are damaged."""
    return tuple(
        sentence(f"{label} comes before the one that was read and was passed over: {finding}")
        for label, finding in found_in_vain(survey)
    )


def found_in_vain(survey: StudySurvey) -> list[tuple[str, str]]:
    """The series that were read in vain, in the order in which they were: name, and what was found, a clause."""
    labels = {series.series_instance_uid: series.label for series in survey.judged}
    return [(labels[uid], finding) for uid, finding in survey.in_vain.items()]


def _reading_notes(unreadable: Sequence[UnreadableFile]) -> tuple[str, ...]:
    damaged = [file for file in unreadable if file.is_dicom]
    return (f"Files that could not be read: {_named(damaged)}.",) if damaged else ()


def _named(files: Sequence[UnreadableFile]) -> str:
    listed = ", ".join(f"{file.path.name} ({file.reason})" for file in files[:MOST_REASONS])
    more = len(files) - MOST_REASONS
    return f"{listed} and {more} more" if more > 0 else listed
