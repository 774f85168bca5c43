"""The form of the index."""

import stat
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from sqlite3 import connect

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_mock_engine, text

from builders.index import database_url
from storage.database import open_engine, reading, writing
from storage.errors import IndexTooNewError
from storage.migrations import migrate, newest_revision
from storage.migrations.upgrade import alembic_config
from storage.models import Base


def test_models_and_migrations_agree(tmp_path: Path) -> None:
    """Every column, index and constraint of the models is made by the migrations, and nothing else."""
    migrate(database_url(tmp_path))
    with reading(open_engine(database_url(tmp_path))) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        assert len(Base.metadata.tables) == 37


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    """Every start of the node does it."""
    url = database_url(tmp_path)
    migrate(url)
    with writing(open_engine(url)) as connection:
        connection.execute(text("INSERT INTO patient (patient_id, issuer) VALUES ('1', '')"))
    migrate(url)
    with reading(open_engine(url)) as connection:
        assert connection.execute(text("SELECT count(*) FROM patient")).scalar_one() == 1


def test_deliveries_of_an_older_index_get_their_role(tmp_path: Path) -> None:
    """They go on as they were planned, none in place of another."""
    url = database_url(tmp_path)
    engine = open_engine(url)
    with writing(engine) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    # A connection of its own enforces no foreign keys: a delivery and its file are enough here.
    with closing(connect(tmp_path / "index.sqlite")) as past_the_index, past_the_index:
        for number, kind in enumerate(("sr", "seg-lesions"), start=1):
            past_the_index.execute(f"INSERT INTO result_file VALUES ({number}, 1, '{kind}', '', '', '1.2', '1.2', '')")
            row = f"({number}, 1, {number}, 'PACS', 'waiting', 0, 1, 1, NULL, '')"
            past_the_index.execute(f"INSERT INTO delivery VALUES {row}")
    migrate(url)
    with reading(open_engine(url)) as connection:
        rows = connection.execute(text("SELECT role, rank, state FROM delivery ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [("report", 0, "waiting"), ("segmentations", 0, "waiting")]


def test_a_result_from_before_a_release_of_an_older_index_is_of_nobody(tmp_path: Path) -> None:
    """What was put aside then is not known; what was made after it stays."""
    url = database_url(tmp_path)
    engine = open_engine(url)
    with writing(engine) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
    engine.dispose()
    with closing(connect(tmp_path / "index.sqlite")) as past_the_index, past_the_index:
        for number, (study_id, at) in enumerate([(1, 10), (1, 30), (2, 10)], start=1):
            past_the_index.execute(f"INSERT INTO result VALUES ({number}, {study_id}, {number}, {number}, {at})")
        past_the_index.execute("INSERT INTO history VALUES (1, 1, 20, 'released', 'held', 'receiving', '')")
        past_the_index.execute("INSERT INTO history VALUES (2, 2, 20, 'retried', 'delivered', 'receiving', '')")
    migrate(url)
    with reading(open_engine(url)) as connection:
        rows = connection.execute(text("SELECT is_of_other_patient FROM result ORDER BY id")).scalars().all()
    assert rows == [1, 0, 0]


def test_processes_that_start_at_once_make_one_index(tmp_path: Path) -> None:
    """Listener and worker are started together."""
    script = f"from storage.migrations import migrate; migrate({database_url(tmp_path)!r})"
    starts = [subprocess.Popen([sys.executable, "-W", "error", "-c", script]) for _ in range(4)]
    assert [start.wait(timeout=120) for start in starts] == [0] * 4
    with reading(open_engine(database_url(tmp_path))) as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1


def test_an_index_that_is_up_to_date_needs_no_alembic(tmp_path: Path) -> None:
    """Every command opens the index, and would wait for its import."""
    url = database_url(tmp_path)
    migrate(url)
    script = f"import sys; from storage.migrations import migrate; migrate({url!r}); sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_index_of_a_newer_node_is_left_alone(tmp_path: Path) -> None:
    """The error says what to do; nothing is changed."""
    url = database_url(tmp_path)
    migrate(url)
    with writing(open_engine(url)) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(IndexTooNewError):
        migrate(url)
    with reading(open_engine(url)) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_the_index_is_closed_to_others(tmp_path: Path) -> None:
    """It holds a patient's data; so does the WAL beside it."""
    url = database_url(tmp_path / "data")
    migrate(url)
    with writing(open_engine(url)) as connection:
        connection.execute(text("INSERT INTO patient (patient_id, issuer) VALUES ('1', '')"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert {"index.sqlite", "index.sqlite-wal"} <= modes.keys()
    assert set(modes.values()) == {0o640}


def test_the_migrations_are_one_line_and_in_the_package() -> None:
    """Two heads would stop every start."""
    script = ScriptDirectory.from_config(alembic_config())
    assert script.get_heads() == [newest_revision()]
    assert (files("storage") / "migrations" / "env.py").is_file()


def test_the_tables_can_be_made_in_postgresql() -> None:
    """The same models serve a server; the partial index is one there too."""
    made: list[str] = []
    engine = create_mock_engine(
        "postgresql+psycopg://", lambda ddl, *_, **__: made.append(str(ddl.compile(dialect=engine.dialect)))
    )
    Base.metadata.create_all(engine, checkfirst=False)
    assert any("uq_attempt_open" in ddl and "WHERE ended_at IS NULL" in ddl for ddl in made)
