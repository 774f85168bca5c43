"""What of a configuration nobody but the node may read."""

import re
from collections.abc import Iterator
from functools import cache
from typing import get_args

from pydantic import BaseModel

from config.settings import Settings

HIDDEN = "***"

# The password in the authority of a URL (RFC 3986 3.2.1).
_PASSWORD = re.compile(r"(?<=://)([^/@:\s\"']*):[^/@\s\"']*@")
# Keys that stand for a secret whether this version knows them or not, for instance one that was commented out.
_SECRET_NAMES = r"[\w-]*(?:password|passwd|passphrase|secret|token|credential)[\w-]*"
_KEEPS_ITS_ADDRESS = frozenset({"database_url"})
"""Of these only the password is hidden: where the index is helps whoever is asked for help."""


def without_secrets(text: str) -> str:
    """The text of a configuration file, or a part of it, with each secret replaced by ***; comments too."""
    return _assignment().sub(rf"\g<1>{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", text))


def has_secret(key: str) -> bool:
    """Whether the value of a key must not be shown."""
    return key in _secret_keys() or re.fullmatch(_SECRET_NAMES, key, re.IGNORECASE) is not None


def shown_value(key: str, value: object) -> object:
    """The value of a key for people: as it is, or *** for a secret; of a URL the password is hidden."""
    if has_secret(key) and value:
        return HIDDEN
    return _PASSWORD.sub(rf"\1:{HIDDEN}@", value) if isinstance(value, str) else value


@cache
def _secret_keys() -> frozenset[str]:
    """Settings that keep themselves out of their own printed form."""
    return frozenset(_hidden_fields(Settings)) - _KEEPS_ITS_ADDRESS


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
