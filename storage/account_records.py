"""Records of who may log in to the pages."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AccountRole(StrEnum):
    """What an account may do on the pages."""

    VIEWER = "viewer"
    """Look at everything."""
    ADMINISTRATOR = "administrator"
    """Look, and change what can be changed there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account as people see it."""

    name: str
    role: AccountRole
    created_at: datetime
    password_set_at: datetime
    logged_in_at: datetime | None
    """When the last login succeeded; None before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """Whom a session belongs to."""

    name: str
    role: AccountRole
    opened_at: datetime
    seen_at: datetime
    """When it was last used, to the minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Failed logins in a row."""

    count: int
    last_at: datetime
