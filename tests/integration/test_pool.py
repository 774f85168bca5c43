"""Every connection of a process waits for the database, and more is asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from builders.clock import FakeClock
from builders.engines import server_url
from builders.index import database_url, received
from dicom_node.listen.carrying import AssociationLedger
from storage import database, postgresql
from storage.database import open_engine
from storage.errors import IndexBusyError, IndexStateError, IndexUnreachableError
from storage.index import Index
from storage.migrations import migrate

_SMALL = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0}


@pytest.fixture
def engine(tmp_path: Path, each_engine: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """With a single connection, that is waited for as short as can be."""
    for pool in (database._SQLITE_POOL, postgresql._POOL):
        for name, value in _SMALL.items():
            monkeypatch.setitem(pool, name, value)
    url = server_url(tmp_path) if each_engine == "postgresql" else database_url(tmp_path)
    migrate(url)
    return open_engine(url)


CALLS: dict[str, Callable[[Index], object]] = {
    "read": lambda index: index.heartbeats(),
    "write alone": lambda index: index.end_associations(),
    "write beside others": lambda index: index.claim_next(owner="w", lease_s=9),
    "write prepared": lambda index: index.record_received([received()]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_a_connection_the_index_cannot_be_reached_for_now(
    engine: Engine, each_engine: str, call: Callable[[Index], object]
) -> None:
    """An error of the storage, which is what whoever waits for the index goes on after."""
    expected: type[IndexStateError] = IndexUnreachableError if each_engine == "postgresql" else IndexBusyError
    with engine.connect(), pytest.raises(expected, match="every connection of this process") as error:
        call(Index(engine, now=FakeClock().now))
    assert error.value.retryable


def test_the_end_of_an_association_is_noted_once_there_is_a_connection_again(engine: Engine) -> None:
    """Who ends it goes on with what comes then, such as the audit trail."""
    index = Index(engine, now=FakeClock().now)
    ledger = AssociationLedger(index)
    name = ledger.begin()
    index.record_received([received(association=name)])
    with engine.connect():
        ledger.end(name, was_released=False, has_carried=True)
        ledger.beat()
    ledger.beat()
    (carrying,) = index.carrying_associations()
    assert carrying.ended_at is not None
