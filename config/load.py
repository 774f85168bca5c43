"""Reads the settings from a TOML file."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.cross_checks import problems_between, shown
from config.errors import ConfigError, Problem
from config.rules import MatchSettings, RuleSettings
from config.series import SeriesRuleSettings
from config.settings import Peer, Settings
from config.tls import ListenTlsSettings

_LONGEST_BITS = 4096
"""Of a number; int() and str() take 4,300 decimal digits, which are 14,284."""
_TOO_LONG = "holds a number that is too long"

ENVIRONMENT_VARIABLE = "DICOM_NODE_CONFIG"
DEFAULT_PATH = Path("/etc/dicom-node/node.toml")

# What a pattern of the settings asks for, by the key that it belongs to.
_GRAMMAR = {
    "database_url": "must be an address as postgresql+psycopg://user@host/name",
    "device": 'must be "auto", "cpu", "cuda" or "cuda:0"',
    "name": "must be letters, digits, space, dot, hyphen, underscore",
    "count_peer": "must be letters, digits, space, dot, hyphen, underscore",
    "institution": "must have no backslash and no control characters",
    "device_serial_number": "must have no backslash and no control characters",
    "lung_segmenter": "must be letters, digits, dot, hyphen, underscore",
    "lesion_detector": "must be letters, digits, dot, hyphen, underscore",
    "tls_server_name": "must have no control characters",
    "caller_name": "must have no control characters",
    "reason": "must have no control characters",
}

_BLOCKS = frozenset({"peers", "series", "rule"})

# Error types of pydantic (docs.pydantic.dev, "Validation Errors") in the words of this file.
_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a string in quotes",
    "path_type": "must be a string in quotes",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must not be empty",
    "value_error": "{error}",
    "model_type": "must be a table",
    "tuple_type": "must be a list",
}


def load_settings(path: Path | None) -> Settings:
    """Settings from the file.

    Args:
        path: None looks at $DICOM_NODE_CONFIG, then at /etc/dicom-node/node.toml, then takes the defaults.

    Raises:
        ConfigError: With every problem of the file, not only the first.
    """
    chosen = configuration_file(path)
    return Settings() if chosen is None else settings_from_document(_read_document(chosen))


def configuration_file(path: Path | None) -> Path | None:
    """The file that settings are read from: as named, else as $DICOM_NODE_CONFIG says, else the one in /etc if it is there.

    None where there is none: the defaults hold then.
    """
    return path or path_from_environment()


def settings_from_text(text: str, *, name: str) -> Settings:
    """Settings from the text of a file; `name` stands in problems of the text as a whole.

    Raises:
        ConfigError: With every problem of the text.
    """
    return settings_from_document(document_from_text(text, name=name))


def document_from_text(text: str, *, name: str) -> dict[str, Any]:
    """The tables of a TOML text; ConfigError where it is not TOML, or holds a number that nobody can write."""
    try:
        document = tomllib.loads(text)
        is_writable = not _has_long_number(document)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([Problem(key=name, problem=f"is not valid TOML: {exc}")]) from exc
    except RecursionError as exc:
        raise ConfigError([Problem(key=name, problem="nests arrays or tables beyond all reason")]) from exc
    except ValueError as exc:
        # tomllib lets pass what int() says about a number of thousands of digits.
        raise ConfigError([Problem(key=name, problem=_TOO_LONG)]) from exc
    if not is_writable:
        raise ConfigError([Problem(key=name, problem=_TOO_LONG)])
    return document


def _has_long_number(value: object) -> bool:
    """Whether Python would refuse to write it down again: in base 16 numbers of any length are read."""
    if isinstance(value, Mapping):
        return any(map(_has_long_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_long_number, value))
    return isinstance(value, int) and value.bit_length() > _LONGEST_BITS


def settings_from_document(document: Mapping[str, Any]) -> Settings:
    """Settings from a parsed TOML document; ConfigError with every problem."""
    problems = problems_between(document)
    try:
        settings = Settings.model_validate(dict(document))
    except ValidationError as exc:
        errors = [error for error in exc.errors(include_url=False) if not _follows_from_another(error)]
        raise ConfigError([_problem_from_error(error) for error in errors] + problems) from None
    if problems:
        raise ConfigError(problems)
    return settings


def path_from_environment() -> Path | None:
    """The file that is taken where none is named; None when there is none."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_PATH if DEFAULT_PATH.exists() else None


def _read_document(path: Path) -> dict[str, Any]:
    return document_from_text(read_text(path), name=str(path))


def read_text(path: Path) -> str:
    """The text of a configuration file, its line ends as they are.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError([Problem(key=str(path), problem="is not UTF-8 text")]) from exc
    except OSError as exc:
        raise ConfigError([Problem(key=str(path), problem=f"cannot be read: {exc.strerror}")]) from exc


def _follows_from_another(error: ErrorDetails) -> bool:
    """A list whose only values are wrong is also called empty; the values have problems of their own."""
    return error["type"] == "too_short" and bool(error["input"])


def _problem_from_error(error: ErrorDetails) -> Problem:
    location, value = error["loc"], error["input"]
    if error["type"] == "extra_forbidden":
        return _unknown(location, value)
    words = _WORDS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    if error["type"] == "string_pattern_mismatch":
        words = _GRAMMAR.get(str(location[-1]), words)
    if error["type"] == "tuple_type" and location[-1] in _BLOCKS:
        words = f"must be written as [[{'.'.join(str(part) for part in location if not isinstance(part, int))}]] blocks"
    untold = error["type"] == "missing" or value is None or isinstance(value, BaseModel | Mapping)
    got = "" if untold else shown(value, key=str(location[-1]))
    return Problem(key=_key(location), problem=words, value=got)


def _unknown(location: tuple[int | str, ...], value: object) -> Problem:
    """What a key or table that does not exist was probably meant to be."""
    name = str(location[-1])
    match = difflib.get_close_matches(name, _known_names(location[:-1]), n=1)
    if len(location) > 1:
        hint = f"; did you mean {match[0]}?" if match else ""
        return Problem(key=_key(location), problem=f"is not a setting{hint}", value=shown(value, key=name))
    hint = f"; did you mean [{match[0]}]?" if match else ""
    if isinstance(value, Mapping | list):
        return Problem(key=f"[{name}]", problem=f"is not a table of this file{hint}")
    return Problem(key=name, problem="stands outside of a table", value=shown(value, key=name))


def _known_names(location: tuple[int | str, ...]) -> list[str]:
    if not location:
        return list(Settings.model_fields)
    if "series" in location:
        return list(SeriesRuleSettings.model_fields)
    if location[0] == "rule":
        return list((MatchSettings if "match" in location else RuleSettings).model_fields)
    annotation = (
        ListenTlsSettings if location == ("listen", "tls") else Settings.model_fields[str(location[0])].annotation
    )
    model = Peer if Peer in get_args(annotation) else annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _key(location: tuple[int | str, ...]) -> str:
    """`[table].key`, `[peers #2].key` for the second peer, `[peers #2].series #1.key` for its first rule."""
    table, *rest = location
    if (table, *rest[:1]) == ("listen", "tls"):
        table, rest = "listen.tls", rest[1:]
    if rest and isinstance(rest[0], int):
        table, rest = f"{table} #{rest[0] + 1}", rest[1:]
    named = ".".join([f"[{table}]", *(str(part) for part in rest if part != "nullable")])
    return re.sub(r"(?<=series)\.(\d+)", lambda match: f" #{int(match[1]) + 1}", named)
