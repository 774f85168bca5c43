"""Engine and transactions of the index."""

import resource
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.dialects import sqlite

from builders.index import database_url
from storage import database
from storage.columns import NaiveInstantError, UtcInstant
from storage.database import open_engine, open_what_stays, reading, require_safe_sqlite, writing
from storage.errors import (
    DatabaseAddressError,
    DiskFailedError,
    DiskFullError,
    DiskReadOnlyError,
    DriverMissingError,
    IndexBusyError,
    IndexDamagedError,
    IndexFailedError,
    SqliteTooOldError,
)

DIALECT = sqlite.dialect()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Engine of an index with one table."""
    opened = open_engine(database_url(tmp_path))
    with writing(opened) as connection:
        connection.execute(text("CREATE TABLE word (word TEXT NOT NULL)"))
    yield opened
    opened.dispose()


def descriptors() -> int:
    """That this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def words(engine: Engine) -> list[str]:
    """Content of the table."""
    with reading(engine) as connection:
        return list(connection.execute(text("SELECT word FROM word")).scalars())


def add(engine: Engine, word: str) -> None:
    """One committed row."""
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO word VALUES (:word)"), {"word": word})


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)]
)
def test_every_connection_is_durable_and_strict(engine: Engine, pragma: str, value: object) -> None:
    """A committed row survives a power cut: WAL with synchronous FULL."""
    with reading(engine) as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2)])
def test_an_sqlite_that_may_damage_the_index_is_refused(version: tuple[int, ...]) -> None:
    """Debian 12 brings 3.40.1."""
    with pytest.raises(SqliteTooOldError, match="found 3"):
        require_safe_sqlite(version)


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_a_mended_sqlite_is_taken(version: tuple[int, ...]) -> None:
    """The defect is gone since 3.51.3."""
    require_safe_sqlite(version)


def test_the_sqlite_at_hand_is_checked_when_an_engine_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first byte is written."""
    monkeypatch.setattr(database.pysqlite3.dbapi2, "sqlite_version_info", (3, 40, 1))
    with pytest.raises(SqliteTooOldError):
        open_engine("sqlite://")


@pytest.mark.parametrize(
    "url", ["nonsense", "postgres://x/y", "mysql://x/y", "postgresql+asyncpg://x/y", "postgresql+psycopg://x:port/y"]
)
def test_an_address_of_no_database_that_is_supported_says_how_to_write_it(url: str) -> None:
    """Whatever SQLAlchemy makes of it."""
    with pytest.raises(DatabaseAddressError, match=r"postgresql\+psycopg://user@host/name"):
        open_engine(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_without_the_driver_of_postgresql_the_extra_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the address leaves the driver out."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DriverMissingError, match=r"pip install '\.\[postgres\]'"):
        open_engine(f"{scheme}://x/y")


def test_what_is_opened_in_advance_is_what_two_at_the_same_time_need(engine: Engine) -> None:
    """No descriptor is opened later, nor closed."""
    open_what_stays(engine)
    held = descriptors()
    with reading(engine), reading(engine):
        pass
    assert descriptors() == held


def test_what_is_opened_in_advance_fails_in_our_words(tmp_path: Path) -> None:
    """As any use of the index does."""
    refused = open_engine(database_url(tmp_path / "missing"))
    with pytest.raises(DiskReadOnlyError):
        open_what_stays(refused)


def test_an_error_rolls_everything_back(engine: Engine) -> None:
    """All of a transaction or nothing."""
    with pytest.raises(KeyError), writing(engine) as connection:
        connection.execute(text("INSERT INTO word VALUES ('half')"))
        raise KeyError
    assert words(engine) == []


def test_a_reader_sees_one_state_while_another_writes(engine: Engine) -> None:
    """Pages and rules never see half a move."""
    with reading(engine) as connection:
        before = connection.execute(text("SELECT count(*) FROM word")).scalar_one()
        add(engine, "new")
        assert connection.execute(text("SELECT count(*) FROM word")).scalar_one() == before
    assert words(engine) == ["new"]


def test_a_writer_that_reads_first_does_not_fail_at_its_first_write(engine: Engine) -> None:
    """BEGIN IMMEDIATE: the second writer waits at its beginning, the first is not overtaken in the middle."""
    second = threading.Thread(target=add, args=(engine, "second"))
    with writing(engine) as first:
        assert first.execute(text("SELECT count(*) FROM word")).scalar_one() == 0
        second.start()
        first.execute(text("INSERT INTO word VALUES ('first')"))
    second.join(timeout=60)
    assert words(engine) == ["first", "second"]


def test_an_index_that_stays_locked_is_said_to_be_busy(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The caller may try again; nobody hangs."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0)
    monkeypatch.setattr(database, "_SQLITE_PRAGMAS", ("PRAGMA busy_timeout = 0",))
    impatient = open_engine(database_url(tmp_path))
    with writing(engine), pytest.raises(IndexBusyError) as busy:
        add(impatient, "second")
    assert busy.value.retryable
    impatient.dispose()


def test_a_file_that_is_no_index_is_said_to_be_damaged(tmp_path: Path) -> None:
    """And it is left as it is."""
    content = b"not a database" * 100
    (tmp_path / "index.sqlite").write_bytes(content)
    with pytest.raises(IndexDamagedError):
        words(open_engine(database_url(tmp_path)))
    assert (tmp_path / "index.sqlite").read_bytes() == content


def test_a_folder_that_is_missing_is_said_to_be_unwritable(tmp_path: Path) -> None:
    """The error says what to check."""
    with pytest.raises(DiskReadOnlyError, match="unable to open"):
        words(open_engine(database_url(tmp_path / "missing")))


def test_a_failed_statement_shows_no_value(engine: Engine) -> None:
    """Values are a patient's; neither the error nor its cause names them."""
    with pytest.raises(IndexFailedError) as failure, writing(engine) as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Doe^Jane"})
    assert "Doe" not in f"{failure.value} {failure.value.__cause__}"


def test_a_full_disk_fails_the_transaction_and_nothing_else(engine: Engine) -> None:
    """The row is not there afterwards; the index works again when there is room."""
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 10")
    with pytest.raises(DiskFullError):
        add(engine, "x" * 1_000_000)
    add(engine, "small")
    assert words(engine) == ["small"]


def test_a_write_that_the_kernel_refuses_fails_the_transaction_and_nothing_else(engine: Engine) -> None:
    """SQLite reports an input or output error and goes on with what was committed before."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(DiskFailedError):
            add(engine, "x" * 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    add(engine, "small")
    assert words(engine) == ["small"]


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])))
def test_an_instant_comes_back_as_the_same_instant(instant: datetime) -> None:
    """To the microsecond, in UTC, also before 1970."""
    column = UtcInstant()
    stored = column.process_bind_param(instant, DIALECT)
    assert isinstance(stored, int)
    back = column.process_result_value(stored, DIALECT)
    assert back == instant
    assert back.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_stored_instants_sort_like_instants(one: datetime, other: datetime) -> None:
    """So that the database may compare them."""
    column = UtcInstant()
    stored = [column.process_bind_param(instant, DIALECT) for instant in (one, other)]
    assert (stored[0] < stored[1]) == (one < other)


def test_an_instant_without_a_time_zone_is_refused() -> None:
    """It would be another instant on another machine."""
    with pytest.raises(NaiveInstantError):
        UtcInstant().process_bind_param(datetime(2026, 1, 1), DIALECT)  # noqa: DTZ001
