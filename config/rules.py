"""The rules of a site: which received studies run, how soon, and which results go where."""

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from config.series import Millimetres, Patterns

ResultKind = Literal["sr", "seg", "pdf", "capture", "presentation_state", "key_objects"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of datetime.weekday()."""

_HOURS = "must be two times of the day as 07:00-19:00"


def hours_from(text: str) -> tuple[time, time] | None:
    """Beginning and end of `22:00-06:00`; None for an empty text.

    Raises:
        ValueError: The text is something else.
    """
    if not text:
        return None
    begin, _, end = text.partition("-")
    try:
        first, last = time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
    except ValueError:
        raise ValueError(_HOURS) from None
    if first == last or first.tzinfo or last.tzinfo:
        raise ValueError(_HOURS)
    return first, last


def _checked_hours(text: str) -> str:
    hours_from(text)
    return text


def _list_of_one(value: object) -> object:
    """A single word stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Weekdays = Annotated[tuple[Weekday, ...], Field(strict=False), BeforeValidator(_list_of_one)]
Results = Annotated[tuple[ResultKind, ...], Field(strict=False)]
# A name as that of a peer: it is shown in the history of a study.
RuleName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
Reason = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class RuleSettings(BaseModel):
    """One `[[rules]]` block."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    name: RuleName
    action: Literal["run", "skip"]
    reason: Reason = ""
    source: Patterns = ()
    """AE titles that sent it."""
    modality: Patterns = ()
    body_part: Patterns = ()
    description: Patterns = ()
    """Of the study or of the series."""
    kernel: Patterns = ()
    thinnest_mm: Millimetres = 0.0
    thickest_mm: Millimetres = 1000.0
    hours: Annotated[str, AfterValidator(_checked_hours)] = ""
    weekdays: Weekdays = ()
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    destinations: dict[str, Results] = {}
    """Results by name of the peer; empty: as the peers say."""

    @property
    def has_range(self) -> bool:
        """Whether it names a thickness."""
        return self.thinnest_mm > 0 or self.thickest_mm < 1000

    @property
    def fits_everything(self) -> bool:
        """Whether no study can fail to fit it."""
        patterns = (self.source, self.modality, self.body_part, self.description, self.kernel, self.weekdays)
        return not (any(patterns) or self.has_range or self.hours)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """ValueError for a rule that contradicts itself."""
        if self.thinnest_mm > self.thickest_mm:
            problem = "thinnest_mm must not be more than thickest_mm"
            raise ValueError(problem)
        if self.action == "skip" and not self.reason:
            problem = 'reason must be set where action = "skip": it is what people read in the study\'s history'
            raise ValueError(problem)
        if self.action == "skip" and (self.destinations or self.priority):
            problem = 'destinations and priority are for action = "run": a study that is skipped has no results'
            raise ValueError(problem)
        return self
