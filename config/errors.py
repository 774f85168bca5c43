"""Why a configuration cannot be used.

ConfigError
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a configuration."""

    key: str
    """`[table].key`; the name of the file where the file as a whole is meant."""
    problem: str
    """What is wrong, in plain words."""
    value: str = ""
    """The value as found, shortened, without passwords; empty where there is none to show."""

    def __str__(self) -> str:
        """The line an administrator reads: `[table].key: problem (got value)`."""
        got = f" (got {self.value})" if self.value else ""
        return f"{self.key}: {self.problem}{got}"


class ConfigError(Exception):
    """The configuration cannot be used; correct every line below and start again."""

    retryable = False

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep all problems, so that they can be corrected in one go."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
