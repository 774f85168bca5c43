"""What of a configuration nobody but the node may read."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import get_args

from pydantic import BaseModel

from config.settings import Settings
from config.urls import HIDDEN, shown_host, text_without_passwords, without_password

# Keys that stand for a secret whether this version knows them or not, for instance one that was commented out.
_SECRET_NAMES = r"[\w-]*(?:password|passwd|passphrase|secret|token|credential)[\w-]*"
_SHOWN_IN_PART: dict[str, Callable[[str], str]] = {"database_url": without_password, "webhook_url": shown_host}
"""Of these it stays where they are: that helps whoever is asked for help."""
_PASSWORD_AS_PARAMETER = frozenset({"database_url"})
"""In a text only the passwords in these are hidden, not the rest."""


def without_secrets(text: str) -> str:
    """The text of a configuration file, or a part of it, with each secret replaced by ***; comments too."""
    return _assignment().sub(rf"\g<1>{HIDDEN}", text_without_passwords(text))


def has_secret(key: str) -> bool:
    """Whether the value of a key must not be shown as it is."""
    return key in _secret_keys() or re.fullmatch(_SECRET_NAMES, key, re.IGNORECASE) is not None


def shown_value(key: str, value: object) -> object:
    """The value of a key for people: as it is, or *** for a secret; of an address what is no secret."""
    if isinstance(value, str) and value and key in _SHOWN_IN_PART:
        return _SHOWN_IN_PART[key](value)
    if has_secret(key) and value:
        return HIDDEN
    if isinstance(value, list | tuple):
        return [shown_value("", one) for one in value]
    return without_password(value) if isinstance(value, str) else value


@cache
def _secret_keys() -> frozenset[str]:
    """Settings that keep themselves out of their own printed form."""
    return frozenset(_hidden_fields(Settings)) - _PASSWORD_AS_PARAMETER


def _hidden_fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not field.repr:
            yield name
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _hidden_fields(part)


@cache
def _assignment() -> re.Pattern[str]:
    """A key with a secret, up to where its value begins; the value is the rest of the line, or a string of several."""
    names = "|".join([_SECRET_NAMES, *(re.escape(key) for key in sorted(_secret_keys()))])
    value = r"(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|\[[^\]]*\]|[^\s,}#][^,}#\n]*)"
    return re.compile(rf"((?:^|[\s,{{#+.-])[\"']?(?:{names})[\"']?\s*=\s*){value}", re.IGNORECASE | re.DOTALL)
