"""Reads the settings from a TOML file."""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.errors import ConfigError, Problem
from config.series import SeriesRuleSettings
from config.settings import Peer, Settings
from config.tls import ListenTlsSettings

ENVIRONMENT_VARIABLE = "DICOM_NODE_CONFIG"
DEFAULT_PATH = Path("/etc/dicom-node/node.toml")

_SHOWN_CHARACTERS = 80
# The password in the authority of a URL (RFC 3986 3.2.1).
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")

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
    "value_error": "{error}",
    "model_type": "must be a table",
    "tuple_type": "must be written as [[peers]] blocks",
}


def load_settings(path: Path | None) -> Settings:
    """Settings from the file.

    Args:
        path: None looks at $DICOM_NODE_CONFIG, then at /etc/dicom-node/node.toml, then takes the defaults.

    Raises:
        ConfigError: With every problem of the file, not only the first.
    """
    chosen = path or path_from_environment()
    return Settings() if chosen is None else settings_from_document(_read_document(chosen))


def settings_from_document(document: Mapping[str, Any]) -> Settings:
    """Settings from a parsed TOML document; ConfigError with every problem."""
    problems = [*_duplicates(document.get("peers")), *_unknown_count_peers(document)]
    try:
        settings = Settings.model_validate(dict(document))
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
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
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([Problem(key=str(path), problem=f"is not valid TOML: {exc}")]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError([Problem(key=str(path), problem="is not UTF-8 text")]) from exc
    except OSError as exc:
        raise ConfigError([Problem(key=str(path), problem=f"cannot be read: {exc.strerror}")]) from exc


def _duplicates(peers: object) -> list[Problem]:
    """Peers that share a name or an AE title, looked for in the raw document so that other mistakes hide none."""
    if not isinstance(peers, list):
        return []
    tables = [peer for peer in peers if isinstance(peer, dict)]
    return [*_shared(tables, "name"), *_shared(tables, "ae_title")]


def _shared(peers: Sequence[Mapping[str, Any]], key: str) -> Iterable[Problem]:
    seen: dict[str, int] = {}
    for position, peer in enumerate(peers, start=1):
        value = peer.get(key)
        if not isinstance(value, str) or not value.strip():
            continue
        first = seen.setdefault(value.strip(), position)
        if first != position:
            yield Problem(
                key=f"[peers #{position}].{key}", problem=f"is also that of peer #{first}", value=_shown(value)
            )


def _unknown_count_peers(document: Mapping[str, Any]) -> Iterable[Problem]:
    """Peers that are to be asked and are not there, looked for in the raw document as above."""
    peers = document.get("peers")
    tables = [peer for peer in peers if isinstance(peer, dict)] if isinstance(peers, list) else []
    names = {peer.get("name") for peer in tables if isinstance(peer.get("name"), str)}
    places = {"[completeness]": document.get("completeness")}
    places |= {f"[peers #{number}].completeness": peer.get("completeness") for number, peer in enumerate(tables, 1)}
    for place, table in places.items():
        asked = table.get("count_peer") if isinstance(table, dict) else None
        if isinstance(asked, str) and asked and asked not in names:
            yield Problem(
                key=f"{place}.count_peer", problem="is not the name of a [[peers]] block", value=_shown(asked)
            )


def _problem_from_error(error: ErrorDetails) -> Problem:
    location, value = error["loc"], error["input"]
    if error["type"] == "extra_forbidden":
        return _unknown(location, value)
    words = _WORDS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    shown = "" if error["type"] == "missing" or isinstance(value, BaseModel | Mapping) else _shown(value)
    return Problem(key=_key(location), problem=words, value=shown)


def _unknown(location: tuple[int | str, ...], value: object) -> Problem:
    """What a key or table that does not exist was probably meant to be."""
    name = str(location[-1])
    match = difflib.get_close_matches(name, _known_names(location[:-1]), n=1)
    if len(location) > 1:
        hint = f"; did you mean {match[0]}?" if match else ""
        return Problem(key=_key(location), problem=f"is not a setting{hint}", value=_shown(value))
    hint = f"; did you mean [{match[0]}]?" if match else ""
    if isinstance(value, Mapping | list):
        return Problem(key=f"[{name}]", problem=f"is not a table of this file{hint}")
    return Problem(key=name, problem="stands outside of a table", value=_shown(value))


def _known_names(location: tuple[int | str, ...]) -> list[str]:
    if not location:
        return list(Settings.model_fields)
    if "series" in location:
        return list(SeriesRuleSettings.model_fields)
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


def _shown(value: object) -> str:
    """The value as TOML would write it, short and without a password."""
    text = json.dumps(value, default=str)
    text = _PASSWORD.sub(r"\1:***@", text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
