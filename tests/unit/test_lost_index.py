"""An index that is gone or damaged beside files that are there."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from builders.cli import run
from builders.clock import FakeClock
from builders.index import JANE
from builders.instances import ct_instance
from builders.kept_images import keep_image, keep_images
from config.settings import NodeSettings, Settings
from dicom_node.check import Outcome, check_index
from dicom_node.listen.header import HEAD_BYTES
from dicom_node.reindex import reindex
from storage.database import open_engine, reading
from storage.errors import DataFolderInUseError, IndexLostError, StorageError
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import State
from storage.locks import lock_data_dir
from storage.lost_index import is_damaged, refuse_lost_index
from storage.migrations import migrate
from storage.verifying import VerifyReport, verify

STUDY = "1.2.3.4"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a node that received five images of a study, and was stopped."""
    made = Settings(node=NodeSettings(data_dir=tmp_path / "data"))
    keep_images(made.data_dir, *range(5))
    reindex(made, clock=FakeClock())
    return made


@pytest.fixture
def index(settings: Settings) -> Iterator[Index]:
    """The index of the node, whichever file is in its place when it is asked."""
    opened = Index(open_engine(settings.database_url), now=FakeClock().now)
    yield opened
    opened.close()


def verified(settings: Settings) -> VerifyReport:
    """What `storage verify` finds."""
    engine = open_engine(settings.database_url)
    try:
        return verify(engine, settings.data_dir)
    finally:
        engine.dispose()


def objects(settings: Settings) -> list[Path]:
    """The received files."""
    return sorted(settings.data_dir.glob("objects/*/*.dcm"))


def database(settings: Settings) -> Path:
    """The file of the index."""
    return settings.data_dir / "index.sqlite"


def damage(settings: Settings) -> None:
    """Overwrite the pages of the tables."""
    with database(settings).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(40_000))


def open_as_empty(settings: Settings) -> None:
    """Empty the index, and let a program look into it: the file has the header of a database then."""
    for path in settings.data_dir.glob("index.sqlite*"):
        path.unlink()
    database(settings).touch()
    engine = open_engine(settings.database_url)
    with reading(engine):
        assert database(settings).stat().st_size > 0
    engine.dispose()


def test_files_and_rows_that_go_together_pass(settings: Settings) -> None:
    """Five images, each read."""
    report = verified(settings)
    assert (report.passed, report.checked_objects, report.missing, report.changed) == (True, 5, (), ())
    assert report.unindexed == ()


def test_a_flipped_bit_a_missing_file_and_a_file_without_a_row_are_found(settings: Settings) -> None:
    """Both directions, each file by its path."""
    changed, missing, *_ = objects(settings)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    missing.unlink()
    keep_images(settings.data_dir, 99)
    (settings.data_dir / "incoming" / "crashed.part").touch()
    report = verified(settings)
    assert not report.passed
    assert [report.changed, report.missing] == [(below(settings, changed),), (below(settings, missing),)]
    assert (len(report.unindexed), report.partial_files) == (1, 1)


def below(settings: Settings, path: Path) -> str:
    """The path as the report names it."""
    return str(path.relative_to(settings.data_dir))


def test_a_file_without_a_row_alone_is_no_failure(settings: Settings) -> None:
    """Its sender was never told Success."""
    keep_images(settings.data_dir, 99)
    assert verified(settings).passed


def test_a_sound_index_learns_of_a_file_that_it_does_not_know(settings: Settings, index: Index) -> None:
    """And stays the index that it is."""
    keep_images(settings.data_dir, 99)
    report = reindex(settings, clock=FakeClock())
    assert (report.rebuilt, report.added, report.old_index) == (False, 1, None)
    assert verified(settings).unindexed == ()
    assert len(index.stored_instances(STUDY)) == 6


@pytest.mark.parametrize("anew", [False, True])
def test_of_two_versions_the_one_that_came_first_stays_in_use(settings: Settings, index: Index, anew: bool) -> None:
    """Also in an index that was restored from a backup older than both; their names say nothing of their age."""
    versions = [keep_images(settings.data_dir, 1, study="1.2.9", SeriesDescription=name)[0] for name in "ab"]
    first, second = sorted(versions, key=lambda stored: stored.sha256, reverse=True)
    os.utime(settings.data_dir / first.relative_path, (1e9, 1e9))
    os.utime(settings.data_dir / second.relative_path, (1e9 + 60, 1e9 + 60))
    assert reindex(settings, clock=FakeClock(), anew=anew).added == (7 if anew else 2)
    (in_use,) = index.stored_instances("1.2.9")
    assert in_use.sha256 == first.sha256


@pytest.mark.parametrize("how", ["deleted", "empty", "empty, and opened", "garbage", "pages overwritten"])
def test_a_lost_or_damaged_index_is_made_anew_from_the_files(settings: Settings, how: str) -> None:
    """Every file has its row again; the old index, whatever is left of it, is kept aside."""
    before = database(settings).read_bytes()
    ways = {
        "deleted": database(settings).unlink,
        "empty": lambda: database(settings).write_bytes(b""),
        "empty, and opened": lambda: open_as_empty(settings),
        "garbage": lambda: database(settings).write_bytes(b"no index" * 10_000),
        "pages overwritten": lambda: damage(settings),
    }
    ways[how]()
    report = reindex(settings, clock=FakeClock())
    assert (report.rebuilt, report.added, report.unreadable) == (True, 5, ())
    assert verified(settings).checked_objects == 5
    assert (report.old_index is None) == (how == "deleted")
    assert report.old_index is None or report.old_index.read_bytes() != before
    assert [path.name for path in settings.data_dir.glob("*.new*")] == []


def test_the_new_index_knows_patient_and_study(settings: Settings, index: Index) -> None:
    """From the headers of the files."""
    view = index.study(STUDY)
    assert view is not None
    assert (view.patient.patient_id, view.patient.issuer, view.instance_count) == ("P1", "HOSPITAL", 5)
    assert view.patient != JANE


def test_a_study_that_had_a_result_is_not_analysed_again_by_itself(settings: Settings, index: Index) -> None:
    """Its PACS has the result; an operator may ask for a new one."""
    ResultStore(settings.data_dir).folder_of(STUDY).mkdir(parents=True)
    assert reindex(settings, clock=FakeClock(), anew=True).not_run_again == 1
    view = index.study(STUDY)
    assert view is not None
    assert view.state is State.SKIPPED
    assert "study retry" in view.reason


def test_what_is_damaged_is_left_where_it_is_and_named(settings: Settings) -> None:
    """A row would say that it is what was received."""
    damaged, *_ = objects(settings)
    damaged.write_bytes(b"DICM?")
    report = reindex(settings, clock=FakeClock(), anew=True)
    assert (report.added, report.unreadable) == (4, (below(settings, damaged),))
    assert damaged.exists()


def test_an_object_with_a_long_element_before_its_study_is_read(settings: Settings, index: Index) -> None:
    """The listener takes it, so no index made of the files may lack it."""
    image = ct_instance(99, study=STUDY)
    image.private_block(0x0009, "ACME", create=True).add_new(0x01, "OB", bytes(HEAD_BYTES + 2**20))
    keep_image(settings.data_dir, image)
    report = reindex(settings, clock=FakeClock(), anew=True)
    assert (report.added, report.unreadable) == (6, ())
    assert len(index.stored_instances(STUDY)) == 6


@pytest.mark.parametrize("role", ["listen", "work", "retention", "web"])
def test_a_running_node_keeps_its_index(settings: Settings, role: str) -> None:
    """Nothing is replaced under a process that has it open; the error says which one that is."""
    before = database(settings).read_bytes()
    with lock_data_dir(settings.data_dir, role), pytest.raises(DataFolderInUseError, match=f"{role} runs as process"):
        reindex(settings, clock=FakeClock(), anew=True)
    assert database(settings).read_bytes() == before


def test_a_reindex_that_was_killed_half_way_is_begun_anew(settings: Settings) -> None:
    """What it left of a new index is none."""
    (settings.data_dir / "index.sqlite.new").write_bytes(b"half")
    (settings.data_dir / "index.sqlite.new-wal").write_bytes(b"half")
    assert reindex(settings, clock=FakeClock(), anew=True).added == 5


def test_indexes_made_anew_within_one_second_keep_each_other(settings: Settings) -> None:
    """Each old one has a name of its own."""
    before = [database(settings).read_bytes()]
    kept = []
    for _ in range(3):
        kept.append(reindex(settings, clock=FakeClock(), anew=True).old_index)
        before.append(database(settings).read_bytes())
    assert len({*kept}) == 3
    assert [path.read_bytes() for path in kept if path] == before[:3]


def test_only_a_database_that_says_ok_is_sound(settings: Settings) -> None:
    """As SQLite itself finds."""
    assert not is_damaged(settings.database_url)
    damage(settings)
    assert is_damaged(settings.database_url)


@pytest.mark.parametrize("how", ["deleted", "empty", "empty, and opened"])
def test_the_node_refuses_to_begin_an_empty_index_beside_received_files(settings: Settings, how: str) -> None:
    """It would answer for none of them; the error names the command."""
    open_as_empty(settings)
    if how == "empty":
        database(settings).write_bytes(b"")
    if how == "deleted":
        database(settings).unlink()
    with pytest.raises(IndexLostError, match="dicom-node storage reindex"):
        refuse_lost_index(settings.database_url, settings.data_dir)


@pytest.mark.parametrize("command", ["status", "storage verify", "study list"])
@pytest.mark.parametrize("is_there", [True, False])
def test_no_command_hides_that_the_index_is_lost(settings: Settings, command: str, is_there: bool) -> None:
    """What one does first must not let the recovery take the rest for a sound index: every study would be sent anew."""
    ResultStore(settings.data_dir).folder_of(STUDY).mkdir(parents=True)
    database(settings).unlink()
    if is_there:
        database(settings).touch()
    file = settings.data_dir.parent / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{settings.data_dir}"\n')
    done = run(file, *command.split(), exit_code=1)
    assert isinstance(done.exception, IndexLostError)
    assert database(settings).exists() is is_there
    report = reindex(settings, clock=FakeClock())
    assert (report.rebuilt, report.not_run_again) == (True, 1)


def test_the_first_start_of_a_node_is_no_loss(settings: Settings) -> None:
    """Without files there is nothing to know."""
    database(settings).unlink()
    rmtree(settings.data_dir / "objects")
    refuse_lost_index(settings.database_url, settings.data_dir)


def test_check_says_that_the_index_is_gone(settings: Settings) -> None:
    """Before the node is started and refuses."""
    assert check_index(settings).outcome is Outcome.PASSED
    database(settings).unlink()
    found = check_index(settings)
    assert (found.outcome, "dicom-node storage reindex" in found.detail) == (Outcome.FAILED, True)


def test_a_damaged_index_is_refused_with_the_command_that_mends_it(settings: Settings) -> None:
    """By whoever opens it; a node does so before it listens."""
    database(settings).write_bytes(b"no index" * 10_000)
    with pytest.raises(StorageError, match="dicom-node storage reindex"):
        migrate(settings.database_url)
