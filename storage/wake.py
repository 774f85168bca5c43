"""Wakes a process when there is something for it to do: LISTEN and NOTIFY of PostgreSQL; SQLite has no such thing."""

import logging
from collections.abc import Callable
from enum import StrEnum
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from storage.postgresql import has_row_locks

logger = logging.getLogger(__name__)

_CHANNEL = "dicom_node"
_LOOK_INTERVAL_S = 0.5
_CONNECT_AGAIN_S = 1.0


class Topic(StrEnum):
    """What there is to do."""

    STUDIES = "studies"
    """Something happened that may complete a study, or let it go on."""
    READY = "ready"
    """A study is ready for an attempt."""
    DELIVERIES = "deliveries"
    """There is something to send."""


def notify(connection: Connection, topic: Topic) -> None:
    """Wake those who wait, once the transaction is on disk; on SQLite they look by themselves every moment."""
    if has_row_locks(connection):
        connection.execute(text("SELECT pg_notify(:channel, :topic)"), {"channel": _CHANNEL, "topic": topic.value})


class WakeUps:
    """Calls back when there is something to do; who is called still looks by itself now and then.

    Also after the connection was lost and made again: what was said meanwhile nobody heard.
    """

    def __init__(self, engine: Engine, callbacks: dict[Topic, Callable[[], None]]) -> None:
        """Listen on a connection of its own; on SQLite nothing is called."""
        self._engine = engine
        self._callbacks = callbacks
        self._stop = Event()
        self.listens = Event()
        """Set while somebody is on the line."""
        self._thread = Thread(target=self._run, name="wake-ups", daemon=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        if self._engine.dialect.name == "postgresql":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no longer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except _connection_errors() as error:
                logger.warning("not woken by the database for a moment: %s", type(error).__name__)
                self._stop.wait(_CONNECT_AGAIN_S)
            finally:
                self.listens.clear()

    def _listen(self) -> None:
        engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"LISTEN {_CHANNEL}"))
            driver: Any = connection.connection.driver_connection
            self.listens.set()
            try:
                self._wake(Topic)
                while not self._stop.is_set():
                    said = {one.payload for one in driver.notifies(timeout=_LOOK_INTERVAL_S, stop_after=1)}
                    self._wake(topic for topic in Topic if topic in said)
            finally:
                # It listens as long as it lives: the pool is not to give it to others.
                connection.invalidate()

    def _wake(self, topics: Any) -> None:
        for topic in topics:
            if callback := self._callbacks.get(topic):
                callback()


def _connection_errors() -> tuple[type[Exception], ...]:
    """What a broken connection raises, in the words of SQLAlchemy and of the driver beneath it."""
    import psycopg  # noqa: PLC0415  # an extra that only those have whose index is on a server

    return (SQLAlchemyError, psycopg.Error)
