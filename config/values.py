"""Types of single values of a configuration, each with what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from config.names import (
    ae_title_problem,
    folder_problem,
    host_problem,
    network_problem,
    path_problem,
    pattern_problem,
)

Value = TypeVar("Value")


def none_if_empty(value: object) -> object:
    """None for an empty string: TOML has no null."""
    return None if value == "" else value


def refusing(problem_of: Callable[[Value], str | None]) -> AfterValidator:
    """A validator that refuses a value for the problem found in it."""

    def check(value: Value) -> Value:
        problem = problem_of(value)
        if problem is not None:
            raise ValueError(problem)
        return value

    return AfterValidator(check)


AeTitle = Annotated[str, refusing(ae_title_problem), AfterValidator(str.strip)]
Host = Annotated[str, refusing(host_problem)]
AddressOrNetwork = Annotated[str, refusing(network_problem)]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]
Duration = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
NameOrNone = Annotated[str, Field(max_length=64, pattern=r"^([A-Za-z0-9][A-Za-z0-9 ._-]*)?$")]
# PS3.5 6.2, value representation LO: at most 64 characters, no backslash, no control characters.
LongString = Annotated[str, Field(max_length=64, pattern=r"^[^\\\x00-\x1f\x7f]*$")]
# What an entry point may be called (packaging.python.org, "Entry points specification"), empty for none.
PlugInName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
# TOML knows strings only, strict validation wants a Path.
AbsolutePath = Annotated[Path, Field(strict=False), refusing(path_problem)]
FolderOrNone = Annotated[
    Annotated[Path, Field(strict=False), refusing(folder_problem)] | None, BeforeValidator(none_if_empty)
]

AeTitleOrNone = Annotated[AeTitle | None, BeforeValidator(none_if_empty)]
SearchPattern = Annotated[str, Field(min_length=1, max_length=200), refusing(pattern_problem)]
