"""The commands of `batch` on the index of a node that does not run."""

import json
from pathlib import Path

import pytest

from builders.batches import next_line, plan
from builders.cli import run
from builders.clock import FakeClock
from builders.find_scp import find_scp, match
from builders.index import build_index, received
from storage.batch_records import BatchStudyState

CONFIG = """
[storage]
free_floor_bytes = 0

[[peers]]
name = "pacs"
ae_title = "PACS"
host = "localhost"
port = 104
query_retrieve = "move"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration of a node with a batch of two studies."""
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path}"\n{CONFIG}')
    build_index(tmp_path, FakeClock()).batches.begin(plan(), {"1.2.1": "20190101", "1.2.2": ""})
    return path


def test_a_command_that_has_no_place_ends_with_1_and_says_why(file: Path) -> None:
    """A script must not take it for done."""
    run(file, "batch", "pause", "1")
    assert "batch 1 is paused: only one that runs" in str(run(file, "batch", "pause", "1", exit_code=1).exception)
    run(file, "batch", "cancel", "1")
    run(file, "batch", "resume", "1")
    assert "batch 1 is running: only one that was" in str(run(file, "batch", "resume", "1", exit_code=1).exception)
    assert "has no failed study" in str(run(file, "batch", "retry", "1", exit_code=1).exception)


def test_failed_studies_are_taken_up_by_a_command(file: Path, tmp_path: Path) -> None:
    """They wait again."""
    index = build_index(tmp_path, FakeClock())
    index.batches.end(next_line(index), BatchStudyState.FAILED, "pacs: failed")
    assert "1 failed, 1 waiting" in run(file, "batch", "status").stdout
    assert "2 waiting" in run(file, "batch", "retry", "1").stdout


def test_a_batch_that_waits_for_room_says_so(file: Path) -> None:
    """No disk is this large."""
    file.write_text(file.read_text().replace("free_floor_bytes = 0", f"free_floor_bytes = {2**60}"))
    assert "asks for nothing: fewer than" in run(file, "batch", "status").stdout


def test_the_status_of_the_node_has_a_line_for_each_batch_that_is_not_over(file: Path) -> None:
    """With why it does not go on."""
    file.write_text(file.read_text().replace('query_retrieve = "move"', ""))
    line = "batch 1: running, 2 of 2 studies to do; asks for nothing: pacs has no query_retrieve"
    assert line in run(file, "status").stdout
    (batch,) = json.loads(run(file, "status", "--json").stdout)["batches"]
    assert batch["waits"].startswith("pacs has no query_retrieve")
    run(file, "batch", "cancel", "1")
    assert "batch 1" not in run(file, "status").stdout


def test_every_command_says_on_request_in_json_what_it_did(file: Path, tmp_path: Path) -> None:
    """The batch as it stands then; of a table where it is."""
    for step, state in (("pause", "paused"), ("cancel", "cancelled"), ("resume", "running")):
        done = json.loads(run(file, "batch", step, "1", "--json").stdout)
        assert (done["number"], done["state"], done["waits"]) == (1, state, "")
    path = tmp_path / "table.csv"
    written = json.loads(run(file, "batch", "table", "1", "--out", str(path), "--json").stdout)
    assert written == {"path": str(path), "rows": 2}


def test_a_table_that_cannot_be_written_says_so_of_the_file_that_was_named(file: Path, tmp_path: Path) -> None:
    """Not of the one that it is written to first."""
    missing = tmp_path / "missing"
    done = run(file, "batch", "table", "1", "--out", str(missing / "t.csv"), exit_code=1)
    assert str(done.exception) == f"{missing / 't.csv'}: there is no folder {missing}"
    (tmp_path / "t.csv").mkdir()
    done = run(file, "batch", "table", "1", "--out", str(tmp_path / "t.csv"), exit_code=1)
    assert str(done.exception) == f"{tmp_path / 't.csv'}: cannot be written: Is a directory"
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_a_dry_run_says_what_is_expected_beside_what_is_free(file: Path, tmp_path: Path) -> None:
    """Nothing is begun."""
    build_index(tmp_path, FakeClock()).record_received([received("1.2.9")])
    days = ("since=2019-01-01", "until=2019-01-02", "--dry-run")
    with find_scp(lambda _: [match("STUDY", StudyInstanceUID="1.2.5", StudyDate="20190101")]) as peer:
        file.write_text(file.read_text().replace("port = 104", f"port = {peer.port}"))
        done = run(file, "batch", "start", "pacs", *days)
        seen = json.loads(run(file, "batch", "start", "pacs", *days, "--json").stdout)
        assert "size of what is to fetch: about 1000 B; " in done.stdout
        assert "are free in the data folder" in done.stdout
        assert (seen["expected_bytes"], seen["free_bytes"] > 0) == (1000, True)


def test_a_pacs_that_may_not_be_queried_is_told_with_the_command_that_allows_it(file: Path) -> None:
    """In the words of the configuration."""
    file.write_text(file.read_text().replace('query_retrieve = "move"', ""))
    told = str(run(file, "batch", "start", "pacs", "since=2019-01-01", "until=2019-02-01", exit_code=1).exception)
    assert told.startswith(
        "pacs has no query_retrieve, so the node may not query it; set it: `dicom-node ae change pacs "
    )


@pytest.mark.parametrize(
    "wrong",
    [("pacs", "colour=red"), ("pacs", "hours=late"), ("pacs",), ("nobody", "since=2019-01-01", "until=2019-02-01")],
)
def test_a_batch_that_is_ordered_wrongly_is_wrong_usage(tmp_path: Path, file: Path, wrong: tuple[str, ...]) -> None:
    """Also where no node ever ran: what is wrong does not depend on it."""
    run(file, "batch", "start", *wrong, exit_code=2)
    file.write_text(f'[node]\ndata_dir = "{tmp_path / "new"}"\n{CONFIG}')
    run(file, "batch", "start", *wrong, exit_code=2)
