"""Settings of the index and of the disk."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from config.names import database_problem
from config.table import Table
from config.values import refusing

GIBIBYTE = 1024**3

MachineName = Annotated[str, Field(max_length=64, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")]
"""Part of names of files."""


class StorageSettings(Table):
    """The index and the disk."""

    database_url: Annotated[str, Field(pattern=r"^$|^[a-z0-9+_]+://"), refusing(database_problem)] = Field(
        default="", repr=False
    )
    shared: bool = False
    """Whether several machines share the data folder."""
    free_floor_bytes: Annotated[int, Field(ge=0)] = 5 * GIBIBYTE
    association_margin_bytes: Annotated[int, Field(ge=0)] = GIBIBYTE

    @property
    def refused_below_bytes(self) -> int:
        """Free bytes below which the listener refuses new associations; 0 without a floor."""
        return self.free_floor_bytes + self.association_margin_bytes if self.free_floor_bytes else 0

    @model_validator(mode="after")
    def _check_shared(self) -> Self:
        """ValueError for machines that share files and have no index in common."""
        if self.shared and not self.database_url.startswith("postgresql"):
            problem = "shared = true needs an index on PostgreSQL: set database_url (docs/listeners.md)"
            raise ValueError(problem)
        return self
