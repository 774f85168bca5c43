"""What the integration tests share: a phantom patient that is rendered once, certificates, the engine that they run on."""

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from builders.engines import tests_on
from builders.ports import free_port
from builders.small_patient import SmallPatient, shared_small_patient
from builders.tls_listener import Site, make_site

IS_ON_SERVER = os.environ.get("DICOM_NODE_TEST_ENGINE") == "postgresql"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is about the file of SQLite where the run has none."""
    for item in items:
        if IS_ON_SERVER and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="about the file of SQLite"))


@pytest.fixture(scope="session")
def small_patient(tmp_path_factory: pytest.TempPathFactory) -> SmallPatient:
    """Two small studies of one phantom patient, to be read only; all processes of a run share them."""
    folder = tmp_path_factory.getbasetemp()
    is_one_of_several = "PYTEST_XDIST_WORKER" in os.environ
    return shared_small_patient((folder.parent if is_one_of_several else folder) / "small-patient")


@pytest.fixture(scope="module", autouse=True)
def engine_of_the_run(request: pytest.FixtureRequest) -> Iterator[None]:
    """With DICOM_NODE_TEST_ENGINE=postgresql every node of these tests has its index on a PostgreSQL server."""
    with tests_on(request.getfixturevalue("postgres_server")) if IS_ON_SERVER else nullcontext():
        yield


@pytest.fixture(scope="module")
def tls_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An authority, and certificates from it."""
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    """The TLS port of the node, which a PACS is told before the node runs."""
    return free_port()
