"""All series of a study, judged and compared with the chosen one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from pipeline.criteria import Criterion, criteria, kernel_words
from pipeline.image_header import ImageHeader, StudyHeaders
from pipeline.read import read_headers
from pipeline.series import JudgedSeries, judge_series
from pipeline.series_rules import SourceRules, rules_for


class SeriesOutcome(StrEnum):
    """What became of a series."""

    CHOSEN = "chosen"
    PASSED_OVER = "passed_over"
    """It could be read; another one is better."""
    REFUSED = "refused"
    """It cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesVerdict:
    """What was said of one series."""

    series_instance_uid: str
    number: int | None
    """Series Number."""
    description: str
    outcome: SeriesOutcome
    reason: str
    """One plain sentence: what decided."""
    speaks_for: tuple[str, ...]
    """By what it is better than the chosen series; of the chosen one, better than any other that could be read."""
    speaks_against: tuple[str, ...]
    """By what it is worse; of a refused series, why it cannot be read."""
    notes: tuple[str, ...]
    """What would qualify findings made on it, for instance images that are left out."""
    image_count: int
    slice_count: int
    """Of the volume that is made of it."""
    spacing_mm: float
    slice_thickness_mm: float | None
    extent_mm: float
    plane: str
    kernel: str
    contrast: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudySurvey:
    """The series of a study, by series number."""

    headers: StudyHeaders
    judged: tuple[JudgedSeries, ...]
    in_vain: Mapping[str, str]
    """Of series that were read and show no lungs, or are damaged, in the order in which they were: UID to what was found, a
    clause."""
    damaged: frozenset[str]
    """UIDs of those that are damaged."""
    chosen: JudgedSeries | None
    """None: no series can be read."""
    table: tuple[Criterion, ...]

    @property
    def usable(self) -> list[JudgedSeries]:
        """Those that can be read, without those that were in vain."""
        return _usable(self.judged, self.in_vain)

    def next_best(self, finding: str) -> "StudySurvey":
        """The same after the chosen series was read and shows no lungs: of the others the best is chosen.

        Args:
            finding: What was found in it, one plain sentence.
        """
        if self.chosen is None:
            return self
        clause = f"{finding[0].lower()}{finding[1:].removesuffix('.')}"
        return self._after(self.chosen, clause, damaged=self.damaged)

    def next_whole(self, reason: str) -> "StudySurvey":
        """The same after the chosen series was found damaged: of the others the best is chosen.

        Args:
            reason: Why it cannot be read, plain sentences.
        """
        if self.chosen is None:
            return self
        damaged = self.damaged | {self.chosen.series_instance_uid}
        return self._after(self.chosen, f"it is damaged: {reason.removesuffix('.')}", damaged=damaged)

    def _after(self, read: JudgedSeries, clause: str, *, damaged: frozenset[str]) -> "StudySurvey":
        in_vain = {**self.in_vain, read.series_instance_uid: clause}
        return _survey(self.headers, self.judged, in_vain, damaged=damaged)

    def of_series(self, series_instance_uid: str) -> "StudySurvey":
        """The same with one series chosen, whatever comes before it; with none, where that one is not there or not readable."""
        chosen = (series for series in self.usable if series.series_instance_uid == series_instance_uid)
        return replace(self, chosen=next(chosen, None))

    def verdict(self, series: JudgedSeries) -> SeriesVerdict:
        """What is said of one of the series."""
        return SeriesVerdict(
            series_instance_uid=series.series_instance_uid,
            number=series.number,
            description=series.description,
            outcome=self._outcome(series),
            reason=self._reason(series),
            speaks_for=self._for(series),
            speaks_against=self._against(series),
            notes=series.notes,
            image_count=series.image_count,
            slice_count=len(series.stack.slices) if series.stack else 0,
            spacing_mm=round(series.spacing_mm, 3),
            slice_thickness_mm=series.slice_thickness_mm,
            extent_mm=round(series.extent_mm, 1),
            plane=series.plane,
            kernel=series.kernel,
            contrast=series.contrast.words,
        )

    def _outcome(self, series: JudgedSeries) -> SeriesOutcome:
        if series is self.chosen:
            return SeriesOutcome.CHOSEN
        return SeriesOutcome.REFUSED if series.against else SeriesOutcome.PASSED_OVER

    def _reason(self, series: JudgedSeries) -> str:
        if series is self.chosen:
            return why_chosen(series)
        against = self._against(series)
        return sentence(
            series.against or (against[0] if against else "it is as good as the chosen series, which comes first")
        )

    def _for(self, series: JudgedSeries) -> tuple[str, ...]:
        if self.chosen is None:
            return ()
        others = self._others() if series is self.chosen else [self.chosen]
        return tuple(
            f"{criterion.name}: {criterion.words(series)}"
            for criterion in self.table
            if series.stack and any(criterion.rank(series) < criterion.rank(other) for other in others)
        )

    def _against(self, series: JudgedSeries) -> tuple[str, ...]:
        if series.against:
            undecodable = (series.undecodable,) if series.undecodable else ()
            return (*series.objections, *series.faults, *undecodable)
        if self.chosen is None or series is self.chosen:
            return tuple(self._better_others(series))
        worse = (
            criterion.why_not(series, self.chosen)
            for criterion in self.table
            if criterion.rank(series) > criterion.rank(self.chosen)
        )
        finding = self.in_vain.get(series.series_instance_uid)
        return (finding, *worse) if finding else tuple(worse)

    def _others(self) -> list[JudgedSeries]:
        return [series for series in self.usable if series is not self.chosen]

    def _better_others(self, series: JudgedSeries) -> Iterable[str]:
        for criterion in self.table:
            better = [other for other in self._others() if criterion.rank(other) < criterion.rank(series)]
            if better:
                yield f"{criterion.name}: {better[0].label} has {criterion.words(better[0])}"


def survey_series(
    paths: Iterable[Path], *, rules: Sequence[SourceRules] = (), corrects_tilt: bool = False
) -> StudySurvey:
    """Judge all series of a study and choose one; what cannot be read is among the headers."""
    headers = read_headers(paths)
    judged = tuple(
        judge_series(images, rules_for(rules, images[0].series_instance_uid), corrects_tilt=corrects_tilt)
        for images in _images_by_series(headers)
    )
    return _survey(headers, judged, {}, damaged=frozenset())


def _survey(
    headers: StudyHeaders, judged: tuple[JudgedSeries, ...], in_vain: Mapping[str, str], *, damaged: frozenset[str]
) -> StudySurvey:
    usable = _usable(judged, in_vain)
    without_lungs = [series for series in judged if series.series_instance_uid in in_vain.keys() - damaged]
    table = criteria(usable, without_lungs=without_lungs)
    ranked = sorted(usable, key=lambda series: [criterion.rank(series) for criterion in table])
    chosen = ranked[0] if ranked else None
    return StudySurvey(headers=headers, judged=judged, in_vain=in_vain, damaged=damaged, chosen=chosen, table=table)


def _usable(judged: Iterable[JudgedSeries], in_vain: Mapping[str, str]) -> list[JudgedSeries]:
    return [series for series in judged if not series.against and series.series_instance_uid not in in_vain]


def why_chosen(series: JudgedSeries) -> str:
    """What the chosen series is."""
    count = len(series.stack.slices) if series.stack else 0
    kind = "Original" if series.is_original else "Derived"
    return f"{kind} {series.plane} CT, {count} slices {series.spacing_mm:.1f} mm apart, {kernel_words(series)}."


def sentence(clause: str) -> str:
    """A clause as a sentence."""
    return f"{clause[0].upper()}{clause[1:]}."


def _images_by_series(headers: StudyHeaders) -> list[list[ImageHeader]]:
    """Ordered by series number, then UID."""
    series: dict[str, list[ImageHeader]] = defaultdict(list)
    for image in headers.images:
        series[image.series_instance_uid].append(image)
    return sorted(series.values(), key=lambda images: (images[0].series_number or 0, images[0].series_instance_uid))
