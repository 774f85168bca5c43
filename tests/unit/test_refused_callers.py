"""Who was refused: kept, bounded, shown without harm, let in."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.clock import FakeClock
from builders.index import NOON, build_index
from dicom_node.cli.app import app
from dicom_node.listen.admission import Caller, Rejection
from dicom_node.listen.refused import RefusedCallerNotes
from storage.errors import StorageError
from storage.index import Index
from storage.refused_callers import KEPT, KEPT_OF_AN_ADDRESS, RefusalKey, RefusedCaller


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    made = build_index(tmp_path, FakeClock())
    yield made
    made.close()


def caller(title: str = "STRANGER", address: str = "10.0.0.9") -> Caller:
    """Who asked."""
    return Caller(calling_aet=title, called_aet="NODE", address=address)


def refused(title: str, address: str, *, at_s: int = 0) -> RefusedCaller:
    """Who was refused once."""
    key = RefusalKey(calling_aet=title, called_aet="NODE", address=address, reason="calling_ae_title")
    at = NOON + timedelta(seconds=at_s)
    return RefusedCaller(key=key, first_at=at, last_at=at, count=1)


def test_the_same_refusal_is_one_row_with_a_count(index: Index) -> None:
    """Nothing is written before it is told to; several processes add to one row; shortages are no refusal of somebody."""
    clock = FakeClock()
    one, other = (RefusedCallerNotes(index.refused_callers, clock=clock) for _ in range(2))
    for notes in (one, other, one):
        notes.note(Rejection.CALLING_AE_TITLE, caller())
        clock.advance(10)
    one.note(Rejection.LOCAL_LIMIT, caller())
    assert index.refused_callers.newest() == ()
    one.write()
    other.write()
    one.write()
    (row,) = index.refused_callers.newest()
    assert (row.count, row.key.calling_aet, row.key.reason) == (3, "STRANGER", "calling_ae_title")
    assert row.last_at - row.first_at == timedelta(seconds=20)


def test_a_flood_of_titles_grows_nothing_and_pushes_nobody_else_out(index: Index) -> None:
    """The newest are kept, few of one address; in memory and in the index."""
    index.refused_callers.add([refused("REAL", "10.0.0.1")])
    notes = RefusedCallerNotes(index.refused_callers, clock=FakeClock())
    for number in range(3000):
        notes.note(Rejection.CALLING_AE_TITLE, caller(f"FAKE{number}"))
        assert len(notes._noted) <= 2 * KEPT
    notes.write()
    kept = index.refused_callers.newest()
    assert "REAL" in {one.key.calling_aet for one in kept}
    assert len(kept) <= 1 + KEPT_OF_AN_ADDRESS
    index.refused_callers.add([refused("X", f"10.1.{high}.{low}", at_s=1) for high in range(4) for low in range(200)])
    assert len(index.refused_callers.newest()) == KEPT


def test_what_the_index_does_not_take_is_tried_again(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not counted twice."""
    notes = RefusedCallerNotes(index.refused_callers, clock=FakeClock())
    notes.note(Rejection.CALLED_AE_TITLE, caller())
    with monkeypatch.context() as broken:
        broken.setattr(index.refused_callers, "add", _refuse)
        notes.write()
    notes.note(Rejection.CALLED_AE_TITLE, caller())
    notes.write()
    assert [one.count for one in index.refused_callers.newest()] == [2]


def _refuse(*_: object) -> None:
    reason = "full"
    raise StorageError(reason)


def test_titles_cannot_harm_who_reads_them(index: Index) -> None:
    """Controls, escape sequences, NUL and anything beyond ASCII are spelled out; the text is short."""
    notes = RefusedCallerNotes(index.refused_callers, clock=FakeClock())
    notes.note(Rejection.CALLING_AE_TITLE, caller("\x1b[31m\0\n\u202e" + "A" * 100))
    notes.write()
    (row,) = index.refused_callers.newest()
    assert row.key.calling_aet.startswith("\\x1b[31m\\x00\\n\\u202eA")
    assert row.key.calling_aet.isprintable()
    assert len(row.key.calling_aet) < 100


def node(folder: Path, peers: str = "") -> Path:
    """The configuration of a node whose index is in the folder."""
    path = folder / "node.toml"
    path.write_text(f'# ours\n[node]\ndata_dir = "{folder}"\n{peers}')
    return path


def test_a_refused_caller_is_let_in_with_the_address_that_it_called_from(tmp_path: Path, index: Index) -> None:
    """Then it is listed no more; the peer can be removed again."""
    file = node(tmp_path)
    index.refused_callers.add([refused("CT_1", "10.0.0.7"), refused("CT_1", "10.0.0.8", at_s=5)])
    run = CliRunner().invoke
    listed = json.loads(run(app, ["--config", str(file), "ae", "refused", "--json"]).stdout)["refused"]
    assert [(one["address"], one["can_be_allowed"]) for one in listed] == [("10.0.0.8", True), ("10.0.0.7", True)]
    assert "10.0.0.8" in run(app, ["--config", str(file), "ae", "refused"], env={"COLUMNS": "200"}).stdout
    done = run(app, ["--config", str(file), "ae", "allow", "CT_1", "--from", "10.0.0.7", "port=11112"])
    assert done.exit_code == 0, done.output
    (peer,) = json.loads(run(app, ["--config", str(file), "ae", "list", "--json"]).stdout)["peers"]
    assert (peer["name"], peer["ae_title"], peer["host"], peer["port"]) == ("ct_1", "CT_1", "10.0.0.7", 11112)
    assert json.loads(run(app, ["--config", str(file), "ae", "refused", "--json"]).stdout)["refused"] == []
    assert file.read_text().startswith("# ours\n")


def test_a_known_peer_that_may_not_send_may_from_now_on(tmp_path: Path, index: Index) -> None:
    """Its block is changed; a second one would have the same AE title."""
    block = '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "10.0.0.5"\nport = 104\nmay_send = false\n'
    file = node(tmp_path, block)
    index.refused_callers.add([refused("PACS", "10.0.0.5")])
    assert CliRunner().invoke(app, ["--config", str(file), "ae", "allow", "PACS"]).exit_code == 0
    assert file.read_text().count("[[peers]]") == 1
    assert "may_send = true" in file.read_text()


def test_who_was_refused_for_another_reason_is_told_what_helps(tmp_path: Path, index: Index) -> None:
    """A block would not let in who calls a wrong title; nothing is written for who was never refused."""
    file = node(tmp_path)
    before = file.read_text()
    wrong = RefusalKey(calling_aet="CT_1", called_aet="OTHER", address="10.0.0.7", reason="called_ae_title")
    index.refused_callers.add([RefusedCaller(key=wrong, first_at=NOON, last_at=NOON, count=1)])
    for title, words in (("CT_1", "senders must use"), ("NOBODY", "no NOBODY was refused")):
        done = CliRunner().invoke(app, ["--config", str(file), "ae", "allow", title])
        assert done.exit_code == 1
        assert words in str(done.exception)
    assert file.read_text() == before
