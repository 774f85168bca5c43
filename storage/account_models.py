"""Tables of who may log in to the pages."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.account_records import AccountRole
from storage.columns import UtcInstant, word_column
from storage.models import Base, Sha256


class Account(Base):
    """A person who may log in."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[AccountRole] = mapped_column(word_column(AccountRole))
    password_hash: Mapped[str] = mapped_column(Text)
    """Encoded with its parameters; never the password."""
    created_at: Mapped[datetime] = mapped_column(UtcInstant)
    password_set_at: Mapped[datetime] = mapped_column(UtcInstant)
    logged_in_at: Mapped[datetime | None] = mapped_column(UtcInstant)


class AccountSession(Base):
    """A browser that is logged in; the token itself is only in its cookie."""

    __tablename__ = "account_session"
    __table_args__ = (Index(None, "account_id"), Index(None, "seen_at"))

    token_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    opened_at: Mapped[datetime] = mapped_column(UtcInstant)
    seen_at: Mapped[datetime] = mapped_column(UtcInstant)


class LoginFailure(Base):
    """Failed logins in a row of one account, or from one address."""

    __tablename__ = "login_failure"

    subject: Mapped[str] = mapped_column(String(128), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(UtcInstant)
