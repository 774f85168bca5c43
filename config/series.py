"""The rules of a peer for the choice of the series."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _list_of_one(value: object) -> object:
    """A single pattern stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Pattern = Annotated[str, Field(min_length=1, max_length=64)]
Patterns = Annotated[tuple[Pattern, ...], Field(strict=False), BeforeValidator(_list_of_one)]
Millimetres = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class SeriesRuleSettings(BaseModel):
    """One `[[peers.series]]` block."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    action: Literal["only", "exclude", "prefer"]
    description: Patterns = ()
    kernel: Patterns = ()
    thinnest_mm: Millimetres = 0.0
    thickest_mm: Millimetres = 1000.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        """ValueError for a rule that fits every series, or none."""
        if self.thinnest_mm > self.thickest_mm:
            problem = "thinnest_mm must not be more than thickest_mm"
            raise ValueError(problem)
        has_range = self.thinnest_mm > 0 or self.thickest_mm < 1000
        if not (self.description or self.kernel or has_range):
            problem = "must say which series it is for: description, kernel, thinnest_mm or thickest_mm"
            raise ValueError(problem)
        return self
