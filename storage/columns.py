"""Column types of the index."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, Enum
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class NaiveInstantError(ValueError):
    """An instant without a time zone cannot be stored; give it one where it is made."""


class UtcInstant(TypeDecorator[datetime]):
    """An instant, kept as whole microseconds since 1970-01-01T00:00Z.

    An integer sorts and indexes the same in SQLite and PostgreSQL, loses nothing of a DICOM time and goes below 1970.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds of an aware instant.

        Raises:
            NaiveInstantError: The instant has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise NaiveInstantError
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """The same instant, aware UTC."""
        return None if value is None else _EPOCH + value * _MICROSECOND


def word_column(words: type[StrEnum]) -> Enum:
    """Column type for one of the words, kept as its text so that a new word needs no migration."""
    return Enum(
        words,
        native_enum=False,
        create_constraint=False,
        length=24,
        values_callable=lambda members: [member.value for member in members],
    )
