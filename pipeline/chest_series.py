"""The series of a study that is analysed: the best of those that show lungs."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.chest_volume import ChestVolume, FindLungs, found_chest
from pipeline.choose import choice_of, found_in_vain
from pipeline.errors import NotAChestError, PipelineError, UnreadableStudyError
from pipeline.orient import lps_from_source
from pipeline.study import SeriesChoice, StudyFiles, Volume
from pipeline.survey import StudySurvey, sentence, survey_series
from pipeline.volume import read_volume

MOST_READ = 5
"""Series of a study that are looked into for lungs: each takes as long as the lungs of a study do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChestSeries:
    """A series that shows lungs."""

    choice: SeriesChoice
    volume: Volume
    """On the grid of acquisition."""
    chest: ChestVolume
    """The same in patient order."""


def read_chest(
    files: StudyFiles, find_lungs: FindLungs, *, on_series: Callable[[int], None] = lambda _number: None
) -> ChestSeries:
    """The best series by its headers; where it shows no lungs the next best one, up to `MOST_READ`.

    Of those, what lies where no lungs were found comes last. A damaged one after the first is passed over and not counted.
    One volume is in memory at a time. The choice says which series were read in vain, and what was found in each.

    Args:
        files: The study.
        find_lungs: In the volume of a series.
        on_series: Called before a series is read, with how many were looked into for lungs before it.

    Raises:
        NotAChestError: No series shows lungs, of those that were read.
        StudyRefusedError: No series can be read, see `choose_series`.
        UnreadableStudyError: Nothing, or not all of the best series, can be decoded; or of the others none shows lungs and
            one cannot be decoded.
    """
    survey = survey_series(files.paths, rules=files.rules, corrects_tilt=files.corrects_tilt)
    number = 0
    while number < MOST_READ:
        choice = choice_of(survey)
        on_series(number)
        try:
            return _read(choice, find_lungs)
        except NotAChestError as refusal:
            survey, number = survey.next_best(refusal.finding), number + 1
        except UnreadableStudyError as refusal:
            if number == 0:
                raise
            survey = survey.next_whole(refusal.reason)
        if survey.chosen is None:
            break
    raise (UnreadableStudyError if survey.damaged else NotAChestError)(_none_shows_lungs(survey))


def read_known_chest(files: StudyFiles, series_instance_uid: str, find_lungs: FindLungs) -> ChestSeries | None:
    """One series, whatever other one comes before it; None where it is not there, not readable, or shows no lungs.

    Args:
        files: The study.
        series_instance_uid: Of the series.
        find_lungs: In its volume.
    """
    survey = survey_series(files.paths, rules=files.rules, corrects_tilt=files.corrects_tilt)
    known = survey.of_series(series_instance_uid)
    if known.chosen is None:
        return None
    try:
        return _read(choice_of(known), find_lungs)
    except PipelineError:
        return None


def _read(choice: SeriesChoice, find_lungs: FindLungs) -> ChestSeries:
    volume = read_volume(choice)
    return ChestSeries(choice=choice, volume=volume, chest=found_chest(lps_from_source(volume), find_lungs))


def _none_shows_lungs(survey: StudySurvey) -> str:
    """The reason why a study is refused after its series were read."""
    found, others = found_in_vain(survey), len(survey.usable)
    if len(found) == 1:
        return f"{sentence(found[0][1])} {NotAChestError.advice}"
    listed = " ".join(sentence(f"{label}: {finding}") for label, finding in found)
    more = f" Not tried: {others} more, of which a rule ([[peers.series]]) can put one first." if others else ""
    if survey.damaged:
        return f"None of the series that can be decoded shows lungs. {listed}{more}"
    return f"None of the series that were read shows lungs. {listed}{more} {NotAChestError.advice}"
