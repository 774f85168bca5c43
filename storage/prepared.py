"""Statements that are compiled once and run by the driver of the database itself.

SQLAlchemy writes the statements, makes the connections and converts the values. Only its way of running a statement is
left out: a received instance pays ten times for it what SQLite needs, and waits for each answer of a server.
"""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

Values = Mapping[str, Any]
Cursor = Any
"""Of the driver (PEP 249)."""


class Prepared:
    """A statement whose parameters are all named and all given."""

    def __init__(self, statement: Insert | Update, dialect: Dialect, *, columns: Sequence[str] = ()) -> None:
        """Compile it.

        Args:
            statement: To be run.
            dialect: Of the engine.
            columns: That an INSERT is given.
        """
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns) or None)
        self._text = str(compiled)
        self._is_positional = compiled.positional
        self._parameters = tuple(
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in (compiled.positiontup or compiled.binds)
        )

    def run(self, cursor: Cursor, values: Values) -> None:
        """Run it."""
        cursor.execute(self._text, self._given(values))

    def run_for_each(self, cursor: Cursor, rows: Sequence[Values]) -> None:
        """Run it once for each row."""
        cursor.executemany(self._text, [self._given(row) for row in rows])

    def _given(self, values: Values) -> list[Any] | dict[str, Any]:
        pairs = (
            (name, values[name] if convert is None else convert(values[name])) for name, convert in self._parameters
        )
        return [value for _, value in pairs] if self._is_positional else dict(pairs)


class PreparedSelect:
    """A SELECT whose parameters are all named and are texts or numbers."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        """Compile it."""
        compiled: Any = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names = compiled.positiontup
        columns = tuple(statement.selected_columns)
        self._columns = tuple(str(column.key) for column in columns)
        self._converted = tuple(
            (place, convert)
            for place, column in enumerate(columns)
            if (convert := _from_driver(column.type, dialect)) is not None
        )

    def ask(self, cursor: Cursor, values: Values) -> None:
        """Run it; in a pipeline nobody waits for the answer yet."""
        cursor.execute(self._text, [values[name] for name in self._names] if self._names else values)

    def answer(self, cursor: Cursor) -> Any:
        """Its only row, with the columns as attributes; None if there is none."""
        found = cursor.fetchone()
        if found is None:
            return None
        row = list(found)
        for place, convert in self._converted:
            row[place] = convert(row[place])
        return SimpleNamespace(**dict(zip(self._columns, row, strict=True)))


def _from_driver(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
