"""What all tests share: the engines that those run on which use an index."""

from collections.abc import Generator, Iterator
from contextlib import nullcontext

import pytest

from builders.engines import ENGINES, TestServer, running_test_server, tests_on
from builders.postgres import why_no_postgres
from dicom_node.memory import leave_out_what_stays, loading


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected: what that loads stays, and later collections leave it out."""
    with loading():
        collected = yield
    leave_out_what_stays()
    return collected


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[TestServer]:
    """One server for all tests of a process; started by the first that needs it."""
    if reason := why_no_postgres():
        pytest.skip(reason)
    with running_test_server() as server:
        yield server


@pytest.fixture(params=ENGINES)
def each_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once on SQLite, once on PostgreSQL; gives the name."""
    is_server = request.param == "postgresql"
    with tests_on(request.getfixturevalue("postgres_server")) if is_server else nullcontext():
        yield request.param


@pytest.fixture
def on_postgres(postgres_server: TestServer) -> Iterator[None]:
    """Runs a test on PostgreSQL alone."""
    with tests_on(postgres_server):
        yield
