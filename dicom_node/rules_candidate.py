"""Rules that do not hold yet, with the rest of a configuration as it is, so that they can be tried."""

from collections.abc import Mapping
from typing import Any

from config.errors import ConfigError, Problem
from config.load import document_from_text, settings_from_document
from config.settings import Settings

TABLE = "rule"


def settings_with_candidate(current: Mapping[str, Any], text: str, *, name: str) -> Settings:
    """The settings as they would be with a file of rules alone, or with a whole configuration.

    Args:
        current: The configuration as it is, as tables; rules alone take the place of those in it.
        text: TOML.
        name: Of the text, for problems of it as a whole.

    Raises:
        ConfigError: With every problem.
    """
    candidate = document_from_text(text, name=name)
    if set(candidate) - {TABLE}:
        return settings_from_document(candidate)
    return settings_from_document({**current, TABLE: candidate.get(TABLE, [])})


def settings_with_rules(current: Mapping[str, Any], text: str, *, name: str) -> Settings:
    """The settings as they would be with these rules.

    Args:
        current: As for `settings_with_candidate`.
        text: TOML of `[[rule]]` blocks and nothing else.
        name: As for `settings_with_candidate`.

    Raises:
        ConfigError: With every problem.
    """
    others = sorted(set(document_from_text(text, name=name)) - {TABLE})
    if others:
        words = "does not belong here: write [[rule]] blocks alone"
        raise ConfigError([Problem(key=other, problem=words) for other in others])
    return settings_with_candidate(current, text, name=name)
