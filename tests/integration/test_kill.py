"""SIGKILL at the listener or the worker, at several moments: nothing acknowledged is lost, results arrive once."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from builders.deadline import until
from builders.instances import ct_instance
from builders.node import NodeProcess, node_peer
from builders.pacs import destination, ledger_pacs, times_received
from builders.receiving_processes import children_of
from builders.small_patient import SmallPatient
from dicom_node.demo.pacs import SmallPacs
from dicom_node.demo.send import SendError, send_files
from dicom_node.dispatch import attempt_progress
from storage.lifecycle import State
from storage.records import StudyView

DELIVERED_WITHIN_S = 300
STUDY = "1.2.3.4"


@contextmanager
def _node(folder: Path, pacs: SmallPacs) -> Iterator[NodeProcess]:
    """Listener and worker as two services, results going to the PACS."""
    with NodeProcess(folder=folder, parts=("listen", "work"), destinations=[destination(pacs)]) as node:
        yield node


@pytest.mark.parametrize("kill_after", [1, 7, 40])
def test_what_the_listener_acknowledged_survives_its_kill(tmp_path: Path, kill_after: int) -> None:
    """Every object that was answered with Success is on disk, whole, and in the index."""
    paths = _instances(tmp_path / "in", count=60)
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        acknowledged = _send_and_kill(node, paths, kill_after=kill_after)
        node.start("listen")
        node.wait_until_it_listens()

        with closing(node.index()) as index:
            stored = index.stored_instances(STUDY)

    assert acknowledged >= kill_after
    assert len(stored) >= acknowledged
    for instance in stored:
        assert sha256((node.data_dir / instance.path).read_bytes()).hexdigest() == instance.sha256


def test_a_study_sent_again_after_a_kill_has_each_object_once(tmp_path: Path) -> None:
    """What came before the kill and comes again is the same object."""
    paths = _instances(tmp_path / "in", count=60)
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        _send_and_kill(node, paths, kill_after=20)
        node.start("listen")
        node.wait_until_it_listens()

        send_files(paths, node_peer(node), own_aet="SCANNER", on_sent=lambda _: None)
        view = node.study(STUDY)

    assert view is not None
    assert (view.instance_count, view.conflict_count) == (60, 0)


def test_a_killed_node_leaves_no_process_behind(tmp_path: Path) -> None:
    """Listener and worker go with the process that started them."""
    with NodeProcess(folder=tmp_path, parts=("run",)) as node:
        parts = until(lambda: _parts(node.pid("run")), within_s=30, what="both run")
        node.kill("run")

        until(lambda: not any(map(_is_running, parts.values())), within_s=10, what="both are gone")


def test_files_of_a_running_listener_do_not_outlive_a_kill_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold its configuration and a key; the next listener removes them, and none is among temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with NodeProcess(folder=tmp_path, parts=("listen",)) as node:
        own = node.data_dir / "listen.run"
        key = (own / "self.pem").read_bytes()
        (own / "of an earlier version").touch()
        node.kill("listen")
        assert (own.stat().st_mode & 0o777, list(temporary.iterdir())) == (0o700, [])
        node.start("listen")
        node.wait_until_it_listens()
        assert (own / "self.pem").read_bytes() != key
        assert not (own / "of an earlier version").exists()
        node.stop("listen")
        assert not own.exists()


@pytest.mark.parametrize("part", ["listen", "work"])
def test_a_part_of_the_node_that_is_killed_is_started_again(tmp_path: Path, part: str) -> None:
    """`run` looks after both; the other one is not touched."""
    with NodeProcess(folder=tmp_path, parts=("run",)) as node:
        before = until(lambda: _parts(node.pid("run")), within_s=30, what="both run")
        os.kill(before[part], signal.SIGKILL)
        after = until(lambda: _parts(node.pid("run"), without=before[part]), within_s=30, what=f"{part} runs again")
        node.wait_until_it_listens()

    assert {name for name in after if after[name] != before[name]} == {part}


@pytest.mark.slow
def test_a_worker_killed_while_it_analyses_delivers_the_result_once_after_its_restart(
    tmp_path: Path, small_patient: SmallPatient
) -> None:
    """The study goes back to the queue; each object of the result comes to the PACS once."""
    study = small_patient.earlier
    with ledger_pacs(tmp_path / "pacs") as pacs, _node(tmp_path, pacs) as node:
        send_files(study.paths, node_peer(node), own_aet="SCANNER", on_sent=lambda _: None)
        until(lambda: _progress(node) >= 0.3, within_s=120, what="the attempt is at a third")
        node.kill("work")
        node.start("work")
        view = node.wait_for(study.study_instance_uid, State.DELIVERED, within_s=DELIVERED_WITHIN_S)

        assert times_received(pacs) == dict.fromkeys(_delivered(view), 1)


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_sends_the_same_objects_after_its_restart(
    tmp_path: Path, small_patient: SmallPatient
) -> None:
    """Only the object whose answer was lost with the worker may come again, and it is the same object."""
    study = small_patient.earlier
    with ledger_pacs(tmp_path / "pacs") as pacs, _node(tmp_path, pacs) as node:
        send_files(study.paths, node_peer(node), own_aet="SCANNER", on_sent=lambda _: None)
        assert pacs.wait_until(bool, timeout_s=DELIVERED_WITHIN_S)
        node.kill("work")
        node.start("work")
        view = node.wait_for(study.study_instance_uid, State.DELIVERED, within_s=DELIVERED_WITHIN_S)

        received = times_received(pacs)
        assert received.keys() == _delivered(view)
        assert received.total() <= len(received) + 1


def _delivered(view: StudyView) -> set[str]:
    """UIDs of the objects that are said to be delivered; a report, segmentations and a PDF are among them."""
    delivered = {one.kind: one.sop_instance_uid for one in view.deliveries if one.state == "delivered"}
    assert {"sr", "seg-lungs", "seg-lesions", "pdf"} == delivered.keys()
    return set(delivered.values())


def _instances(folder: Path, *, count: int) -> list[Path]:
    """Files of one small study."""
    folder.mkdir()
    paths = [folder / f"{number}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        ct_instance(number, study=STUDY).save_as(path, enforce_file_format=True)
    return paths


def _send_and_kill(node: NodeProcess, paths: list[Path], *, kill_after: int) -> int:
    """Send, and kill the listener once so many objects are acknowledged; returns how many were in the end."""
    acknowledged: list[int] = []

    def note(count: int) -> None:
        acknowledged.append(count)
        if count == kill_after:
            node.kill("listen")

    with pytest.raises(SendError):
        send_files(paths, node_peer(node), own_aet="SCANNER", on_sent=note)
    return len(acknowledged)


def _parts(pid: int, *, without: int = 0) -> dict[str, int]:
    """Process IDs of listener and worker below the process of `run`; empty until both are there."""
    commands = {_last_argument(child): child for child in children_of(pid)}
    return commands if commands.keys() == {"listen", "work"} and without not in commands.values() else {}


def _last_argument(pid: int) -> str:
    """The command of the command line that a process runs; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()
    except FileNotFoundError:
        return ""


def _is_running(pid: int) -> bool:
    """Whether a process is there, and no zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _progress(node: NodeProcess) -> float:
    """How far the running attempt is; below nothing while there is none."""
    progress = attempt_progress(node.data_dir, 1)
    return progress.fraction if progress else -1.0
