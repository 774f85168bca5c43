"""Asks a PACS which earlier studies there are, decides what becomes of each."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dicom_node.priors import choose_priors, why_left_out, why_not_linked
from dicom_node.retrieve.answers import SeriesAnswer, StudyAnswer
from dicom_node.retrieve.choose import choose_series, refusal_of, too_old, unsuitable_study
from storage.fetch_records import FoundPriorView, FoundState
from storage.fetch_tasks import FetchTask, HeldStudy
from storage.prior_records import PriorCandidate

MAXIMUM_LOOKED_AT = 24
"""Studies whose series a PACS is asked for, for one search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What of the configuration decides."""

    maximum_count: int
    maximum_age_days: float
    chest: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A study to fetch, with the series of it that are not here."""

    study: StudyAnswer
    series: tuple[SeriesAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What becomes of each study that a PACS named."""

    wanted: tuple[Wanted, ...]
    """Newest first."""
    others: tuple[FoundPriorView, ...]
    """All that are not fetched, each with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """A study that may be compared with: of the index, or of the PACS."""

    study_instance_uid: str
    acquired_at: datetime
    answer: StudyAnswer | None
    """None: it is in the index as a whole."""


class Surveyor:
    """Decides about the answers of one PACS."""

    def __init__(
        self,
        task: FetchTask,
        limits: Limits,
        *,
        held: Callable[[str], HeldStudy | None],
        candidates: Sequence[PriorCandidate],
        ask_series: Callable[[str], Sequence[SeriesAnswer]],
    ) -> None:
        """Decide for one search.

        Args:
            task: The search.
            limits: Of the configuration.
            held: What the node has of a study.
            candidates: Earlier studies in the index.
            ask_series: Asks the PACS for the series of a study.
        """
        self._task = task
        self._limits = limits
        self._held = held
        self._linkable = [one for one in candidates if not why_not_linked(task.demographics, one, chest=limits.chest)]
        self._ask_series = ask_series
        self._others: list[FoundPriorView] = []
        self._compared: list[datetime] = [task.acquired_at]

    def decide(self, answers: Sequence[StudyAnswer]) -> Survey:
        """Decide about each study that the PACS named."""
        others = [answer for answer in _first_of_each(answers) if answer.study_instance_uid != self._current_uid]
        possible = [answer for answer in others if self._is_possible(answer)]
        wanted = self._choose(possible)
        chosen = {one.study.study_instance_uid for one in wanted}
        told = {one.study_instance_uid for one in self._others}
        for answer in possible:
            if answer.study_instance_uid not in chosen | told:
                self._tell(answer, FoundState.NOT_NEEDED, self._why_left_out(answer))
        return Survey(wanted=tuple(wanted), others=tuple(self._others))

    @property
    def _current_uid(self) -> str:
        return self._task.study_instance_uid

    def _is_possible(self, answer: StudyAnswer) -> bool:
        """Whether a study may be fetched; what speaks against it is told."""
        uid = answer.study_instance_uid
        # Of what is here the index decides: something may be waived between this study and the current one alone.
        is_linkable = uid in {one.study_instance_uid for one in self._linkable}
        refusal = "" if is_linkable else refusal_of(answer, self._task)
        unsuitable = unsuitable_study(answer) or too_old(
            answer, self._task, maximum_age_days=self._limits.maximum_age_days
        )
        held = self._held(uid)
        if refusal:
            self._tell(answer, FoundState.REFUSED, refusal)
        elif unsuitable:
            self._tell(answer, FoundState.UNSUITABLE, unsuitable)
        elif held and not held.was_fetched:
            self._tell(answer, FoundState.HELD, "it was sent to this node itself")
        elif held and held.is_whole:
            self._tell(answer, FoundState.HELD, "fetched before")
        else:
            return True
        return False

    def _choose(self, possible: Sequence[StudyAnswer]) -> list[Wanted]:
        """Of all that is here and all that could be, what is worth most and not here.

        The series of a study are asked for only when it is its turn; one without chest CT gives its place to the next.
        """
        pool = [*self._in_index(), *_at_pacs(possible)]
        pool.sort(key=lambda earlier: earlier.acquired_at, reverse=True)
        series: dict[str, tuple[SeriesAnswer, ...]] = {}
        while True:
            chosen = [earlier for earlier in self._best(pool) if earlier.answer]
            unknown = [earlier for earlier in chosen if earlier.study_instance_uid not in series]
            if not unknown or len(series) >= MAXIMUM_LOOKED_AT:
                break
            for earlier in unknown:
                series[earlier.study_instance_uid] = self._series_of(earlier.answer)
                if not series[earlier.study_instance_uid]:
                    pool.remove(earlier)
        self._compared += [earlier.acquired_at for earlier in self._best(pool)]
        uids = {earlier.study_instance_uid: earlier.answer for earlier in chosen}
        return [Wanted(study=answer, series=series[uid]) for uid, answer in uids.items() if answer and series.get(uid)]

    def _in_index(self) -> list[_Earlier]:
        """Studies of the index that may be compared with."""
        return [
            _Earlier(study_instance_uid=one.study_instance_uid, acquired_at=one.acquired_at, answer=None)
            for one in self._linkable
        ]

    def _best(self, pool: Sequence[_Earlier]) -> tuple[_Earlier, ...]:
        maximum = self._limits.maximum_count
        return choose_priors(pool, self._task.acquired_at, at=lambda one: one.acquired_at, maximum_count=maximum)

    def _why_left_out(self, answer: StudyAnswer) -> str:
        if answer.acquired_at is None:
            return "the PACS named no study date"
        return why_left_out(answer.acquired_at, self._compared, maximum_count=self._limits.maximum_count)

    def _series_of(self, answer: StudyAnswer | None) -> tuple[SeriesAnswer, ...]:
        """The series to fetch; none, which is told, where the study has no chest CT."""
        if answer is None:
            return ()
        chosen = choose_series(answer, self._ask_series(answer.study_instance_uid), chest=self._limits.chest)
        if not chosen:
            self._tell(answer, FoundState.UNSUITABLE, "no series of it is an axial CT of the chest")
        return tuple(chosen)

    def _tell(self, answer: StudyAnswer, state: FoundState, words: str) -> None:
        self._others.append(found_from(answer, state, words))


def found_from(answer: StudyAnswer, state: FoundState, words: str, *, instance_count: int = 0) -> FoundPriorView:
    """What is written down about a study."""
    return FoundPriorView(
        study_instance_uid=answer.study_instance_uid,
        study_date=answer.study_date,
        state=state,
        words=words,
        instance_count=instance_count,
    )


def _first_of_each(answers: Sequence[StudyAnswer]) -> list[StudyAnswer]:
    """Each study once, with all modalities that were said of it: some PACS answer once for each."""
    by_uid: dict[str, StudyAnswer] = {}
    for answer in answers:
        first = by_uid.setdefault(answer.study_instance_uid, answer)
        by_uid[answer.study_instance_uid] = replace(first, modalities=(*first.modalities, *answer.modalities))
    return list(by_uid.values())


def _at_pacs(answers: Sequence[StudyAnswer]) -> list[_Earlier]:
    return [
        _Earlier(study_instance_uid=answer.study_instance_uid, acquired_at=answer.acquired_at, answer=answer)
        for answer in answers
        if answer.acquired_at
    ]
