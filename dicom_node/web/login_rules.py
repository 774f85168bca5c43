"""Passwords and their rules: how they are hashed, how long one waits after wrong ones."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Semaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from storage.accounts import AccountBook

SHORTEST_PASSWORD = 12
"""NIST SP 800-63B asks for 8 at least; these accounts see patients, and one types them rarely."""

LONGEST_PASSWORD = 256

FREE_TRIES = 4
"""Wrong passwords in a row after which nobody waits yet."""

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
REMEMBERED = timedelta(days=1)
"""After this long without another one, wrong passwords are forgotten."""

_AT_ONCE = 2
"""Each takes 64 MiB of memory and a core for a moment: a flood of logins must not take the machine."""


def wait_after(failures: int) -> timedelta:
    """How long to wait after so many wrong passwords in a row; doubles with each."""
    if failures <= FREE_TRIES:
        return timedelta()
    doublings = min(failures - FREE_TRIES - 1, 16)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def password_problem(password: str) -> str | None:
    """Why this password is not taken; None if it is."""
    if len(password) < SHORTEST_PASSWORD:
        return f"must have at least {SHORTEST_PASSWORD} characters; a sentence is a good password"
    if len(password) > LONGEST_PASSWORD:
        return f"must have at most {LONGEST_PASSWORD} characters"
    return None


class Gate:
    """Lets in who knows the password of an account, and makes guessers wait."""

    def __init__(self, accounts: AccountBook, *, now: Callable[[], datetime]) -> None:
        """Look at these accounts; RFC 9106's second recommended option is what the hasher takes."""
        self._accounts = accounts
        self._now = now
        self._hasher = PasswordHasher()
        self._places = Semaphore(_AT_ONCE)
        self._nobodys_hash = self._hasher.hash("the password of no account")

    def hash(self, password: str) -> str:
        """What is kept of a password."""
        with self._places:
            return self._hasher.hash(password)

    def wait(self, name: str, address: str) -> timedelta:
        """How long it is until a login is looked at; nothing when now."""
        return max(self._left(subject) for subject in _subjects(name, address))

    def lets_in(self, name: str, password: str, address: str) -> bool:
        """Whether the password is that of the account; a wrong one is counted for both account and address.

        It takes as long for an account that does not exist.
        """
        known = self._accounts.password_hash_of(name)
        if not self._verify(known or self._nobodys_hash, password[:LONGEST_PASSWORD]) or known is None:
            self._accounts.note_failure(*_subjects(name if known else "", address))
            return False
        self._accounts.forget_failures(*_subjects(name, address))
        if self._hasher.check_needs_rehash(known):
            self._accounts.renew_hash(name, password_hash=self.hash(password))
        return True

    def _verify(self, password_hash: str, password: str) -> bool:
        with self._places:
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

    def _left(self, subject: str) -> timedelta:
        failures = self._accounts.failures_of(subject)
        if failures is None or self._now() - failures.last_at > REMEMBERED:
            return timedelta()
        return max(failures.last_at + wait_after(failures.count) - self._now(), timedelta())


def _subjects(name: str, address: str) -> tuple[str, ...]:
    """Names of accounts that do not exist are not kept: there is no end of them."""
    return tuple(subject for subject in (f"account {name[:64]}" if name else "", f"address {address}") if subject)
