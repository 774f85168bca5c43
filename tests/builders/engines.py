"""Which database engine a test runs on: SQLite, or a database of its own on one server for all tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from builders.postgres import PostgresServer, running_server
from storage.migrations import migrate

ENGINES = ("sqlite", "postgresql")

_TEMPLATE = "template_of_tests"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
"""Tests of rules lose nothing when the server is killed; those of durability start one of their own."""


_EMPTY = """
DO $$
DECLARE one record;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', one.tablename);
  END LOOP;
  FOR one IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
    EXECUTE format('ALTER SEQUENCE %I RESTART', one.sequencename);
  END LOOP;
END $$
"""
"""Many times as fast as TRUNCATE where nearly all tables are empty; without the foreign keys, the order is of no matter."""


@dataclass(slots=True, kw_only=True)
class TestServer:
    """A server whose databases are copies of one migrated template, emptied and used again by the next test."""

    __test__ = False

    server: PostgresServer
    admin: Engine
    used: dict[Path, str] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    names: Iterator[int] = field(default_factory=count)

    def url_for(self, folder: Path) -> str:
        """Of the database that belongs to the folder; empty at the first call of a test."""
        if folder not in self.used:
            self.used[folder] = self.free.pop() if self.free else self._made()
        return self.server.url_of(self.used[folder])

    def empty_all(self) -> None:
        """Empty every database that a test used; nobody is connected to it any more."""
        while self.used:
            _, name = self.used.popitem()
            engine = create_engine(self.server.url_of(name))
            with engine.begin() as connection:
                connection.execute(text(_EMPTY))
            engine.dispose()
            self.free.append(name)

    def _made(self) -> str:
        name = f"test_{next(self.names)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return name

    def prepare(self) -> None:
        """Make the template."""
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        migrate(self.server.url_of(_TEMPLATE))

    def _execute(self, statement: str) -> None:
        with self.admin.connect() as connection:
            connection.execute(text(statement))


@dataclass(slots=True)
class _Chosen:
    """The server of the test that runs; None for SQLite."""

    server: TestServer | None = None


_CHOSEN = _Chosen()


@contextmanager
def running_test_server() -> Iterator[TestServer]:
    """A server for many tests."""
    with running_server(*_FAST) as server:
        admin = create_engine(server.url, isolation_level="AUTOCOMMIT")
        made = TestServer(server=server, admin=admin)
        made.prepare()
        try:
            yield made
        finally:
            admin.dispose()


@contextmanager
def tests_on(server: TestServer) -> Iterator[None]:
    """Put the indexes of a test on the server; a test of a module that is on it already changes nothing."""
    if _CHOSEN.server is server:
        yield
        return
    opened: list[DBAPIConnection] = []

    def remember(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        opened.append(connection)

    _CHOSEN.server = server
    event.listen(Pool, "connect", remember)
    try:
        yield
    finally:
        _CHOSEN.server = None
        event.remove(Pool, "connect", remember)
        # The driver warns of a connection that the garbage collector closes.
        for connection in opened:
            connection.close()
        server.empty_all()


def server_url(folder: Path) -> str:
    """Of the database of the folder, on the server that the test runs on; empty where it runs on SQLite."""
    return _CHOSEN.server.url_for(folder) if _CHOSEN.server else ""


def storage_table(folder: Path) -> str:
    """The table of a configuration that names that database, and looks at no free room."""
    return f'[storage]\nfree_floor_bytes = 0\ndatabase_url = "{server_url(folder)}"\n'
