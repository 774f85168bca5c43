"""What the commands say of a PostgreSQL server that is not set up, or not yet."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.engines import TestServer
from config.settings import NodeSettings, Settings
from config.storage import StorageSettings
from dicom_node.check import Outcome, check_database
from dicom_node.cli.app import app
from dicom_node.index_move import move_storage
from storage.errors import DatabaseAddressError, NoIndexYetError
from storage.migrations import migrate

pytestmark = pytest.mark.usefixtures("on_postgres")


@pytest.fixture
def settings(tmp_path: Path, postgres_server: TestServer) -> Settings:
    """Of a node whose database is there and empty."""
    storage = StorageSettings(database_url=postgres_server.server.url)
    return Settings(node=NodeSettings(data_dir=tmp_path), storage=storage)


def test_before_the_first_start_commands_say_to_start_the_node(settings: Settings, tmp_path: Path) -> None:
    """As they do where the file of SQLite is missing; `status` stands for all that read."""
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{tmp_path}"\n[storage]\ndatabase_url = "{settings.database_url}"\n')
    done = CliRunner().invoke(app, ["--config", str(file), "status"])
    assert isinstance(done.exception, NoIndexYetError)
    assert "start the node once" in str(done.exception)


def test_before_the_first_start_the_database_passes(settings: Settings) -> None:
    """The first start makes the index."""
    found = check_database(settings.database_url)
    assert (found.outcome, "when the node starts for the first time" in found.detail) == (Outcome.PASSED, True)


@pytest.mark.parametrize("target", ["nonsense", "mysql://x/y"])
def test_a_move_to_what_is_no_database_says_how_to_write_it(tmp_path: Path, target: str) -> None:
    """Before anything is locked or read."""
    made = Settings(node=NodeSettings(data_dir=tmp_path))
    migrate(made.database_url)
    with pytest.raises(DatabaseAddressError, match="sqlite:////path"):
        move_storage(made, target, dry_run=True)
