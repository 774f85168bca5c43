"""Who may log in to the pages, who is logged in, whose logins failed."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, insert, select, update

from storage.account_models import Account, AccountSession, LoginFailure
from storage.account_records import AccountRole, AccountView, Failures, LoggedIn
from storage.database import AnyRow, reading, writing
from storage.errors import StorageError

SEEN_STEP = timedelta(minutes=1)
"""How exactly the last use of a session is kept, so that not every page writes."""


class UnknownAccountError(StorageError):
    """There is no account of this name; `dicom-node account list` shows them."""


class AccountExistsError(StorageError):
    """There is an account of this name already; change its password, or remove it first."""


class AccountBook:
    """Accounts, sessions and failed logins; every method is one transaction."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine.

        Args:
            engine: Of `open_engine`, after `migrate`.
            now: The wall clock, aware UTC.
        """
        self._engine = engine
        self._now = now

    def close(self) -> None:
        """Close the connections; new ones are opened when it is used again."""
        self._engine.dispose()

    def accounts(self) -> tuple[AccountView, ...]:
        """All, by name."""
        with reading(self._engine) as connection:
            return tuple(_view(row) for row in connection.execute(select(Account).order_by(Account.name)))

    def add(self, name: str, role: AccountRole, *, password_hash: str) -> None:
        """Make an account.

        Raises:
            AccountExistsError: The name is taken.
        """
        at = self._now()
        with writing(self._engine) as connection:
            if connection.execute(select(Account.id).where(Account.name == name)).one_or_none():
                raise AccountExistsError
            values = {"name": name, "role": role, "password_hash": password_hash}
            connection.execute(insert(Account).values(**values, created_at=at, password_set_at=at))

    def remove(self, name: str) -> None:
        """Remove an account; who is logged in with it no longer is.

        Raises:
            UnknownAccountError: There is none.
        """
        with writing(self._engine) as connection:
            account_id = _id_of(connection, name)
            _end_sessions(connection, account_id)
            connection.execute(delete(Account).where(Account.id == account_id))

    def set_password(self, name: str, *, password_hash: str) -> None:
        """Give an account another password; who is logged in with it no longer is.

        Raises:
            UnknownAccountError: There is none.
        """
        with writing(self._engine) as connection:
            account_id = _id_of(connection, name)
            _end_sessions(connection, account_id)
            values = {"password_hash": password_hash, "password_set_at": self._now()}
            connection.execute(update(Account).where(Account.id == account_id).values(**values))

    def renew_hash(self, name: str, *, password_hash: str) -> None:
        """Keep the same password under stronger parameters; sessions go on.

        Raises:
            UnknownAccountError: There is none.
        """
        with writing(self._engine) as connection:
            changed = update(Account).where(Account.id == _id_of(connection, name))
            connection.execute(changed.values(password_hash=password_hash))

    def password_hash_of(self, name: str) -> str | None:
        """Hash of the password of an account; None where there is none."""
        with reading(self._engine) as connection:
            return connection.execute(select(Account.password_hash).where(Account.name == name)).scalar_one_or_none()

    def open_session(self, name: str, *, token_sha256: str) -> None:
        """Let a browser be logged in.

        Raises:
            UnknownAccountError: The account is gone.
        """
        at = self._now()
        with writing(self._engine) as connection:
            account_id = _id_of(connection, name)
            connection.execute(update(Account).where(Account.id == account_id).values(logged_in_at=at))
            values = {"token_sha256": token_sha256, "account_id": account_id, "opened_at": at, "seen_at": at}
            connection.execute(insert(AccountSession).values(**values))

    def session(self, token_sha256: str, *, idle: timedelta, lifetime: timedelta) -> LoggedIn | None:
        """Who is logged in; None where nobody is, or no longer. The session counts as used now.

        Args:
            token_sha256: Of the token in the cookie.
            idle: Unused for longer, it is over.
            lifetime: Opened longer ago, it is over.
        """
        now = self._now()
        wanted = select(AccountSession, Account.name, Account.role).join(
            Account, Account.id == AccountSession.account_id
        )
        with reading(self._engine) as connection:
            row = connection.execute(wanted.where(AccountSession.token_sha256 == token_sha256)).one_or_none()
        if row is None or now - row.seen_at > idle or now - row.opened_at > lifetime:
            return None
        if now - row.seen_at > min(SEEN_STEP, idle / 2):
            with writing(self._engine) as connection:
                used = update(AccountSession).where(AccountSession.token_sha256 == token_sha256)
                connection.execute(used.values(seen_at=now))
        return LoggedIn(name=row.name, role=row.role, opened_at=row.opened_at, seen_at=row.seen_at)

    def end_session(self, token_sha256: str) -> None:
        """Log a browser out; nothing where it is not logged in."""
        with writing(self._engine) as connection:
            connection.execute(delete(AccountSession).where(AccountSession.token_sha256 == token_sha256))

    def forget_old(self, *, idle: timedelta, failures: timedelta) -> None:
        """Remove sessions that are over, and failed logins that no longer count."""
        now = self._now()
        with writing(self._engine) as connection:
            connection.execute(delete(AccountSession).where(AccountSession.seen_at < now - idle))
            connection.execute(delete(LoginFailure).where(LoginFailure.last_at < now - failures))

    def failures_of(self, subject: str) -> Failures | None:
        """Failed logins in a row of an account or address; None after a success."""
        with reading(self._engine) as connection:
            row = connection.execute(select(LoginFailure).where(LoginFailure.subject == subject)).one_or_none()
        return None if row is None else Failures(count=row.failures, last_at=row.last_at)

    def note_failure(self, *subjects: str) -> None:
        """Count a failed login for each subject."""
        at = self._now()
        with writing(self._engine) as connection:
            for subject in subjects:
                counted = update(LoginFailure).where(LoginFailure.subject == subject)
                changed = connection.execute(counted.values(failures=LoginFailure.failures + 1, last_at=at))
                if not changed.rowcount:
                    connection.execute(insert(LoginFailure).values(subject=subject, failures=1, last_at=at))

    def forget_failures(self, *subjects: str) -> None:
        """Begin to count anew, after a success."""
        with writing(self._engine) as connection:
            connection.execute(delete(LoginFailure).where(LoginFailure.subject.in_(subjects)))


def _id_of(connection: Connection, name: str) -> int:
    account_id = connection.execute(select(Account.id).where(Account.name == name)).scalar_one_or_none()
    if account_id is None:
        raise UnknownAccountError
    return account_id


def _end_sessions(connection: Connection, account_id: int) -> None:
    connection.execute(delete(AccountSession).where(AccountSession.account_id == account_id))


def _view(row: AnyRow) -> AccountView:
    return AccountView(
        name=row.name,
        role=row.role,
        created_at=row.created_at,
        password_set_at=row.password_set_at,
        logged_in_at=row.logged_in_at,
    )
