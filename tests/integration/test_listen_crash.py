"""0x0000 means safe: kill -9 loses nothing that was acknowledged."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import (
    association,
    listener_settings,
    running_listener,
    sha256,
)
from builders.listener_process import listener_process
from builders.ports import free_port
from builders.raw_peer import P_DATA, RawPeer, status_of, store_request

SENDERS = 3


def acknowledged(port: int, study: str, first: int) -> set[str]:
    """Send until the listener is gone; the UIDs it said Success for."""
    said = set()
    with RawPeer(port) as peer, suppress(ConnectionError):
        peer.associate()
        for number in count(first):
            dataset = ct_instance(number, study=study)
            peer.send(store_request(dataset.SOPInstanceUID, encoded(dataset)))
            kind, answer = peer.receive_pdu()
            if kind != P_DATA:
                break
            assert status_of(answer) == 0x0000
            said.add(str(dataset.SOPInstanceUID))
    return said


def killed_while_sending(folder: Path, *, enough: int, study: str) -> set[str]:
    """UIDs acknowledged by a listener that is killed once it stored enough objects."""
    port = free_port()
    stored_before = len(list(folder.glob("data/objects/*/*.dcm")))
    with ThreadPoolExecutor(SENDERS) as senders, listener_process(folder, port) as process:
        sent = [senders.submit(acknowledged, port, study, 1_000_000 * sender) for sender in range(SENDERS)]
        until(
            lambda: len(list(folder.glob("data/objects/*/*.dcm"))) >= stored_before + enough,
            within_s=60,
            what="enough objects are stored",
        )
        process.send_signal(signal.SIGKILL)
        return set().union(*(future.result() for future in sent))


@pytest.mark.timeout(240)
def test_kill_while_sending_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Three senders, three kills: every acknowledged object is indexed once, whole, with its hash."""
    said = {
        f"7.{run}": killed_while_sending(tmp_path, enough=enough, study=f"7.{run}")
        for run, enough in enumerate((5, 20, 60))
    }
    assert all(said.values())
    with running_listener(listener_settings(tmp_path / "data")) as after:
        assert after.partial_files() == []
        for study, uids in said.items():
            paths = after.objects(study)
            assert [path for path in paths if sha256(path) != path.stem] == []
            kept = [uid_of(path) for path in paths]
            assert len(kept) == len(set(kept))
            assert uids <= set(kept)


def uid_of(path: Path) -> str:
    """SOP Instance UID of a stored file, from its meta information (PS3.10 7.1)."""
    head = path.read_bytes()[:400]
    at = head.index(b"\x02\x00\x03\x00UI") + 6
    length = int.from_bytes(head[at : at + 2], "little")
    return head[at + 2 : at + 2 + length].rstrip(b"\0").decode()


def test_sigterm_ends_the_process_cleanly(tmp_path: Path) -> None:
    """Exit code 0, and the log ends in our words."""
    with listener_process(tmp_path, free_port()) as process:
        process.terminate()
        assert process.wait(30) == 0
    assert "listener stopped" in (tmp_path / "listener.log").read_text()


def test_log_of_the_process_names_no_patient(tmp_path: Path) -> None:
    """Names, IDs, dates and UIDs of what was sent, well or badly, stay out of the log."""
    port = free_port()
    with listener_process(tmp_path, port), association(port, [(CTImageStorage, [ExplicitVRLittleEndian])]) as opened:
        opened.send_c_store(ct_instance(PatientName="Canary^Name", PatientID="CANARYID"))
        opened.send_c_store(ct_instance(PatientName="Canary^Name", PatientID="CANARYID", StudyInstanceUID=None))
    log = (tmp_path / "listener.log").read_text()
    assert "Canary" not in log
    assert "CANARYID" not in log
    assert "1.2.3.4" not in log
    assert "Study Instance UID is missing" in log
