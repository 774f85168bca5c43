"""How long the node keeps what it received and made."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from config.table import Table

Days = Annotated[float, Field(ge=0, le=36_525, allow_inf_nan=False)]
"""0: for ever."""


class RetentionSettings(Table):
    """What is deleted when; by default nothing is."""

    days: Days = 0.0
    """Of studies that are delivered, processed or skipped."""
    fetched_days: Days = 0.0
    """Of earlier studies that the node fetched itself."""
    failed_days: Days = 0.0
    """Of studies that failed, or whose delivery did."""
    free_below_bytes: Annotated[int, Field(ge=0)] = 0
    """With less free space the oldest go first, whatever their age; 0: never."""
    free_until_bytes: Annotated[int, Field(ge=0)] = 0
    """Until so much is free."""
    keep_at_least_hours: Annotated[float, Field(ge=1, le=8760, allow_inf_nan=False)] = 24.0
    """Nothing younger is deleted, not for want of space either."""
    sweep_interval_s: Annotated[float, Field(ge=10, le=86_400, allow_inf_nan=False)] = 600.0

    @property
    def is_on(self) -> bool:
        """Whether anything is ever deleted."""
        return any((self.days, self.fetched_days, self.failed_days, self.free_below_bytes))

    @field_validator("free_until_bytes")
    @classmethod
    def _check_until(cls, until_bytes: int, info: ValidationInfo) -> int:
        below = info.data.get("free_below_bytes", 0)
        if below and until_bytes < below:
            reason = f"must be at least free_below_bytes ({below})"
            raise ValueError(reason)
        return until_bytes
