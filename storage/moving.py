"""Copies an index from one database to another, and compares the two."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, func, insert, inspect, select, text

from storage.address import is_sqlite, parse_address
from storage.database import open_engine, reading, writing
from storage.errors import IndexNotEmptyError, MovedIndexDiffersError
from storage.migrations import migrate
from storage.models import Base
from storage.postgresql import has_row_locks

_ROWS = 1000
"""Read and written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedTable:
    """A table as both databases have it."""

    name: str
    rows: int
    sha256: str
    """Of every value of every row, whatever their order."""


def move_index(source_url: str, target_url: str) -> tuple[MovedTable, ...]:
    """Copy every table into an empty index in one transaction: it is there whole, or nothing of it is.

    Args:
        source_url: Of the index; nobody writes it meanwhile. It stays as it is.
        target_url: Of a database that is empty, or was left by a move that did not end.

    Raises:
        IndexNotEmptyError: The target has rows.
        MovedIndexDiffersError: What was written reads otherwise; nothing of it is kept.
        StorageError: One of the two cannot be read or written.
    """
    migrate(source_url)
    migrate(target_url)
    with _opened(source_url) as source, _opened(target_url) as target, reading(source) as old, writing(target) as new:
        _require_empty(new, tables_of_index())
        for table in tables_of_index():
            for rows in _in_pieces(old, table):
                new.execute(insert(table), rows)
            _set_sequence(new, table)
        return tuple(_compared(old, new, table) for table in tables_of_index())


def refuse_filled_target(url: str) -> None:
    """Return if an index can be moved to a database: it answers, and has no rows; nothing is changed.

    Raises:
        IndexNotEmptyError: It has rows.
        StorageError: It cannot be read.
    """
    parsed = parse_address(url)
    with _opened(url) as engine:
        if is_sqlite(parsed) and not Path(parsed.database or "").exists():
            # To connect would make the file.
            return
        with reading(engine) as connection:
            known = set(inspect(connection).get_table_names())
            _require_empty(connection, [table for table in tables_of_index() if table.name in known])


def counts_of_index(url: str) -> tuple[MovedTable, ...]:
    """What would be moved; nothing is changed."""
    with _opened(url) as engine, reading(engine) as connection:
        known = set(inspect(connection).get_table_names())
        return tuple(_summary(connection, table) for table in tables_of_index() if table.name in known)


def tables_of_index() -> list[Table]:
    """Every table of the index, each after those that it refers to."""
    return list(Base.metadata.sorted_tables)


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _require_empty(connection: Connection, tables: list[Table]) -> None:
    filled = [table.name for table in tables if _count(connection, table)]
    if filled:
        raise IndexNotEmptyError(", ".join(filled))


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _in_pieces(connection: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    ordered = select(table).order_by(*table.primary_key.columns)
    result = connection.execution_options(stream_results=True).execute(ordered)
    for rows in result.mappings().partitions(_ROWS):
        yield [dict(row) for row in rows]


def _set_sequence(connection: Connection, table: Table) -> None:
    """Let the next row come after those that were copied; SQLite counts on by itself."""
    column = table.autoincrement_column
    if column is None or not has_row_locks(connection):
        return
    highest = connection.execute(select(func.max(column))).scalar_one()
    if highest:
        named = {"table": f'"{table.name}"', "column": column.name, "highest": highest}
        connection.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"), named)


def _compared(old: Connection, new: Connection, table: Table) -> MovedTable:
    was, became = _summary(old, table), _summary(new, table)
    if was != became:
        difference = f"{table.name}: {was.rows} rows before, {became.rows} after"
        raise MovedIndexDiffersError(difference)
    return became


def _summary(connection: Connection, table: Table) -> MovedTable:
    """Count and hash; sorted here, since two databases order the same texts differently."""
    digests = sorted(
        hashlib.sha256(repr(sorted(row.items())).encode()).digest()
        for rows in _in_pieces(connection, table)
        for row in rows
    )
    return MovedTable(name=table.name, rows=len(digests), sha256=hashlib.sha256(b"".join(digests)).hexdigest())
