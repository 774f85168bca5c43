"""Addresses with passwords in them, for people: what is hidden, what stays."""

import re
from urllib.parse import urlsplit

HIDDEN = "***"

# Of a URL (RFC 3986 3.2.1) everything behind the user up to the last @: a password as people paste it may hold any character.
_AUTHORITY = re.compile(r"(?<=://)([^/:]*):.*@", re.DOTALL)
# One that can be taken apart: no further @ but in the value of a parameter.
_PLAIN = re.compile(r"(\w[\w+.-]*://[^/:]*):[^@]*@([^/?@]*(?:/[^?@]*)?(?:\?[\w.-]+=.*)?)", re.DOTALL)
# Parameters of libpq (PostgreSQL, "Connection Strings") and of other services that are passwords.
_QUERY = re.compile(r"([?&][\w-]*(?:password|passwd|passphrase|secret|token|credential)[\w-]*=)[^&#]*", re.IGNORECASE)
# In a text: a string that begins with a URL (TOML v1.0.0, "String"), else what follows up to the end of the line.
_IN_TEXT = re.compile(
    r"""
      (?<=\"{3}) \w[\w+.-]*:// .*? (?=\"{3})
    | (?<='{3}) \w[\w+.-]*:// .*? (?='{3})
    | (?<=\") \w[\w+.-]*:// (?:[^"\\\n] | \\.)*
    | (?<=') \w[\w+.-]*:// [^'\n]*
    | \w[\w+.-]*:// [^\n]*
    """,
    re.DOTALL | re.VERBOSE,
)


def without_password(url: str) -> str:
    """A URL without its passwords, whether they stand before the host or among the parameters."""
    plain = _PLAIN.fullmatch(url)
    hidden = f"{plain[1]}:{HIDDEN}@{plain[2]}" if plain else _AUTHORITY.sub(rf"\1:{HIDDEN}@", url)
    return _QUERY.sub(rf"\g<1>{HIDDEN}", hidden)


def shown_host(url: str) -> str:
    """Scheme and host of a URL: of a webhook the path is the secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    return f"{parts.scheme}://{parts.hostname}{port}/{HIDDEN}" if parts.scheme and parts.hostname else HIDDEN


def text_without_passwords(text: str) -> str:
    """A text in which URLs have no passwords; where the end of one is in doubt, more is hidden than needed."""
    return _IN_TEXT.sub(lambda found: without_password(found[0]), text)
