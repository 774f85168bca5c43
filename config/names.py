"""Grammar of names in a configuration: AE titles, hosts, addresses, folders."""

import ipaddress
import re
from pathlib import Path

# PS3.5 6.2, value representation AE: at most 16 characters of the default repertoire, no backslash, no control
# characters, leading and trailing spaces without meaning, not spaces alone.
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")

# RFC 1123 2.1: labels of letters, digits and inner hyphens, 63 characters each, 253 in all. Underscores are not
# allowed there, but container networks use them and resolvers take them.
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_HOST_LENGTH = 253

_PORT_DIGITS = 5

_OTHER_POSTGRESQL = re.compile(r"(?:postgres|pgsql|postgresql\+\w+)://")
"""The server's own short form (PostgreSQL, "Connection URIs"), and drivers that the node does not use."""
_INDEX = re.compile(r"|(?:sqlite(?:\+pysqlite)?|postgresql(?:\+psycopg)?)://.*", re.DOTALL)


def ae_title_problem(title: str) -> str | None:
    """The rule of PS3.5 6.2 that the AE title breaks; None if it keeps them all."""
    if len(title) > 16:
        return "must have at most 16 characters (PS3.5 6.2)"
    if not title.strip(" "):
        return "must not be empty or spaces only (PS3.5 6.2)"
    if not _AE_TITLE.fullmatch(title):
        return "must be printable ASCII without backslash (PS3.5 6.2)"
    return None


def host_problem(host: str) -> str | None:
    """Why this is neither an IP address nor a host name; None if it is one."""
    if is_ip_address(host):
        return None
    labels = host.removesuffix(".").split(".")
    if len(host) > _HOST_LENGTH or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        return "must be an IP address or a host name"
    if labels[-1].isdigit():
        return "must be a complete IP address or a host name"
    return None


def port_from(text: str) -> int | None:
    """The number that somebody typed as a port; None for what is none, or longer than any port."""
    return int(text) if text.isdecimal() and len(text) <= _PORT_DIGITS else None


def network_problem(network: str) -> str | None:
    """Why this is neither an IP address nor a network in the notation of CIDR; None if it is one."""
    try:
        ipaddress.ip_network(network, strict=False)
    except ValueError:
        return "must be an IP address, or a network such as 192.0.2.0/28"
    return None


def database_problem(address: str) -> str | None:
    """Why the index cannot be at this address; None if it can, or if there is none."""
    if _INDEX.fullmatch(address):
        return None
    if _OTHER_POSTGRESQL.match(address):
        return "must begin with postgresql+psycopg://"
    return "must be PostgreSQL (postgresql+psycopg://user@host/name) or SQLite (sqlite:////path/index.sqlite)"


def is_ip_address(host: str) -> bool:
    """Whether the host is a literal IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def path_problem(path: Path) -> str | None:
    """None for an absolute path: a service has no working folder of its own."""
    return None if path.is_absolute() else "must be an absolute path"


def folder_problem(folder: Path) -> str | None:
    """None for the absolute path of a folder that exists."""
    if problem := path_problem(folder):
        return problem
    try:
        return None if folder.is_dir() else "must be a folder that exists"
    except OSError as exc:
        return f"must be a folder that this user can look at: {exc.strerror}"


def pattern_problem(pattern: str) -> str | None:
    """Why this is no regular expression; None if it is one."""
    try:
        re.compile(pattern)
    except re.error as exc:
        return f"must be a regular expression: {exc}"
    return None
