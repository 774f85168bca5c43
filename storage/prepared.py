"""Statements that are compiled once and run on the cursor of SQLite's driver.

SQLAlchemy writes the statements, makes the connections and converts the values. Only its way of running a statement is
left out: a received instance pays ten times for it what SQLite needs.
"""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from pysqlite3.dbapi2 import Cursor
from sqlalchemy import Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

Values = Mapping[str, Any]


class Prepared:
    """A statement whose parameters are all named and all given."""

    def __init__(self, statement: Insert | Update, dialect: Dialect, *, columns: Sequence[str] = ()) -> None:
        """Compile it for SQLite.

        Args:
            statement: To be run.
            dialect: Of the engine.
            columns: That an INSERT is given.
        """
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns) or None)
        self._text = str(compiled)
        self._parameters = tuple(
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup
        )

    def run(self, cursor: Cursor, values: Values) -> None:
        """Run it."""
        cursor.execute(self._text, self._given(values))

    def run_for_each(self, cursor: Cursor, rows: Sequence[Values]) -> None:
        """Run it once for each row."""
        cursor.executemany(self._text, [self._given(row) for row in rows])

    def _given(self, values: Values) -> list[Any]:
        return [values[name] if convert is None else convert(values[name]) for name, convert in self._parameters]


class PreparedSelect:
    """A SELECT whose parameters are all named and are texts or numbers."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        """Compile it for SQLite."""
        compiled: Any = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup)
        columns = tuple(statement.selected_columns)
        self._columns = tuple(str(column.key) for column in columns)
        self._converted = tuple(
            (place, convert)
            for place, column in enumerate(columns)
            if (convert := _from_driver(column.type, dialect)) is not None
        )

    def one_or_none(self, cursor: Cursor, values: Values) -> Any:
        """Its only row, with the columns as attributes; None if there is none."""
        found = cursor.execute(self._text, [values[name] for name in self._names]).fetchone()
        if found is None:
            return None
        row = list(found)
        for place, convert in self._converted:
            row[place] = convert(row[place])
        return SimpleNamespace(**dict(zip(self._columns, row, strict=True)))


def _from_driver(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
