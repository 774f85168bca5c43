"""Alerts that stand, and the messages about them that are still to be brought."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Text, delete, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.database import reading, writing
from storage.models import Base


class AlertRow(Base):
    """An alert that stands."""

    __tablename__ = "alert"

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    words: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(UtcInstant)


class AlertMessageRow(Base):
    """A message that a channel did not take yet."""

    __tablename__ = "alert_message"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text)
    is_over: Mapped[bool]
    at: Mapped[datetime] = mapped_column(UtcInstant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that an administrator should look at."""

    subject: str
    """Which rule, and what it is about: `destination down: pacs`."""
    words: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """That an alert began, or is over."""

    message_id: int
    subject: str
    words: str
    is_over: bool
    at: datetime


class AlertLedger:
    """Alerts in the index; every method is one transaction."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def standing(self) -> tuple[Alert, ...]:
        """Alerts that stand, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(AlertRow).order_by(AlertRow.since, AlertRow.subject))
            return tuple(Alert(subject=row.subject, words=row.words, since=row.since) for row in rows)

    def settle(self, found: Mapping[str, str], *, channels: Sequence[str]) -> None:
        """Note what is found now: what is new is told once to each channel, what is over is too.

        Args:
            found: Words by subject of everything that is wrong now.
            channels: Who is told.
        """
        known = {alert.subject: alert for alert in self.standing()}
        begun = [subject for subject in found if subject not in known]
        over = [subject for subject in known if subject not in found]
        if not begun and not over:
            return
        at = self._now()
        told = [(one, found[one], False) for one in begun] + [(one, known[one].words, True) for one in over]
        with writing(self._engine) as connection:
            connection.execute(delete(AlertRow).where(AlertRow.subject.in_(over)))
            for subject in begun:
                connection.execute(insert(AlertRow).values(subject=subject, words=found[subject], since=at))
            for channel in channels:
                for subject, words, is_over in told:
                    values = {"subject": subject, "words": words, "is_over": is_over, "at": at}
                    connection.execute(insert(AlertMessageRow).values(channel=channel, **values))

    def to_tell(self, channel: str) -> tuple[AlertMessage, ...]:
        """What a channel did not take yet, oldest first."""
        with reading(self._engine) as connection:
            wanted = select(AlertMessageRow).where(AlertMessageRow.channel == channel).order_by(AlertMessageRow.id)
            return tuple(
                AlertMessage(message_id=row.id, subject=row.subject, words=row.words, is_over=row.is_over, at=row.at)
                for row in connection.execute(wanted)
            )

    def was_told(self, message_id: int) -> None:
        """A channel took a message."""
        with writing(self._engine) as connection:
            connection.execute(delete(AlertMessageRow).where(AlertMessageRow.id == message_id))
