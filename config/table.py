"""What every table of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """One table of the file: immutable, and no key that is not here."""

    # Defaults are validated too, so that a single value that contradicts a default of its table is found.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)
