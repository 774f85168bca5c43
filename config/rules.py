"""The rules of a site: which received studies run, how soon, and which results go where."""

import re
from datetime import time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.series import Millimetres, Patterns
from config.table import Table

ResultKind = Literal["sr", "seg", "pdf", "capture", "presentation_state", "key_objects"]
Priority = Literal["urgent", "normal", "low"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of datetime.weekday()."""

THICKEST_MM = 1000.0
"""Nothing is thicker: the end of a range that was not given."""
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_HOURS_PROBLEM = "must be two different times of the day as 07:00-19:00, or 22:00-06:00 over midnight"


def hours_from(text: str) -> tuple[time, time] | None:
    """Beginning and end of `22:00-06:00`; None for an empty text.

    Raises:
        ValueError: The text is something else.
    """
    if not text:
        return None
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(_HOURS_PROBLEM)
    begin, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if begin == end:
        raise ValueError(_HOURS_PROBLEM)
    return begin, end


def _checked_hours(text: str) -> str:
    hours_from(text)
    return text


def _list_of_one(value: object) -> object:
    """A single word stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Hours = Annotated[str, AfterValidator(_checked_hours)]
Weekdays = Annotated[tuple[Weekday, ...], Field(strict=False), BeforeValidator(_list_of_one)]
Kinds = Annotated[tuple[ResultKind, ...], Field(strict=False)]
# A name as that of a peer: it is shown in the history of a study.
RuleName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
Reason = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class MatchSettings(Table):
    """Which studies a rule is for: those of which one series fits everything that is given here."""

    calling_ae_title: Patterns = ()
    """AE titles that sent it."""
    called_ae_title: Patterns = ()
    """AE titles under which the node was called."""
    modality: Patterns = ()
    body_part: Patterns = ()
    study_description: Patterns = ()
    series_description: Patterns = ()
    kernel: Patterns = ()
    thinnest_mm: Millimetres = 0.0
    thickest_mm: Millimetres = THICKEST_MM
    hours: Hours = ""
    weekdays: Weekdays = ()

    @property
    def has_range(self) -> bool:
        """Whether it names a slice thickness."""
        return self.thinnest_mm > 0 or self.thickest_mm < THICKEST_MM

    @property
    def reads_images(self) -> bool:
        """Whether it asks for what only the images say, not the index."""
        return self.has_range or bool(self.kernel)

    @property
    def reads_text(self) -> bool:
        """Whether it asks for what people typed or chose at the scanner, which may tell of the patient."""
        return bool(self.body_part or self.study_description or self.series_description or self.kernel)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """ValueError for a range that holds nothing."""
        if self.thinnest_mm > self.thickest_mm:
            problem = "thinnest_mm must not be more than thickest_mm"
            raise ValueError(problem)
        return self


class RuleSettings(Table):
    """One `[[rule]]` block."""

    name: RuleName
    run: bool = True
    reason: Reason = ""
    priority: Priority = "normal"
    results: dict[str, Kinds] = Field(default_factory=dict)
    """Results by name of the peer; empty: as the peers say."""
    match: MatchSettings = MatchSettings()

    @property
    def fits_everything(self) -> bool:
        """Whether no study can fail to fit it."""
        return self.match == MatchSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        """ValueError for a rule that contradicts itself."""
        if not self.run and (self.results or self.priority != "normal"):
            problem = "results and priority are for run = true: a study that is not run has no results"
            raise ValueError(problem)
        return self
