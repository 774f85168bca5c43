"""An index that an older dicom-node wrote, in the hands of this one, and the other way round."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from builders.index import database_url
from storage.database import open_engine, reading, writing
from storage.migrations import migrate
from storage.migrations.upgrade import alembic_config
from storage.models import Base

REVISIONS = sorted(one.revision for one in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def _index_of(revision: str, folder: Path) -> None:
    """An index as the node of that revision made it, with a patient in it."""
    engine = open_engine(database_url(folder))
    with writing(engine) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(text("INSERT INTO patient (patient_id, issuer) VALUES ('4711', 'HOSPITAL')"))
    engine.dispose()


def test_there_are_older_indexes_to_upgrade() -> None:
    """The test below looks at every one."""
    assert REVISIONS[0] == "0001" and len(REVISIONS) >= 9


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_index_of_every_older_node_is_upgraded_and_keeps_what_it_held(tmp_path: Path, revision: str) -> None:
    """It ends as a new one begins, with its rows."""
    _index_of(revision, tmp_path)
    migrate(database_url(tmp_path))
    with reading(open_engine(database_url(tmp_path))) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        assert connection.execute(text("SELECT patient_id, issuer FROM patient")).all() == [("4711", "HOSPITAL")]


def test_a_service_of_an_older_node_leaves_a_newer_index_alone_and_says_what_to_do(tmp_path: Path) -> None:
    """Going back needs the backup from before."""
    _index_of("head", tmp_path)
    with writing(open_engine(database_url(tmp_path))) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    command_line = [sys.executable, "-m", "dicom_node", "--config", str(config), "listen"]
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "restore the backup" in done.stderr
    with reading(open_engine(database_url(tmp_path))) as connection:
        assert connection.execute(text("SELECT patient_id FROM patient")).scalar_one() == "4711"
