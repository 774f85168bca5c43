"""Refusing: who may not send, what is not stored, and what the sender hears."""

import os
from collections.abc import Container, Iterator
from errno import ENOSPC
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom.pdu_primitives import A_ASSOCIATE
from sqlalchemy import text

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import (
    AE_TITLE,
    SENDER,
    RunningListener,
    association,
    listener_settings,
    running_listener,
    send,
)
from builders.raw_peer import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, RawPeer, p_data, status_of, store_command, store_request
from config.settings import Settings
from config.storage import StorageSettings
from dicom_node.index import open_index
from dicom_node.listen.errors import PatientIdTooLongError
from storage.database import open_engine, writing

CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian])]


@pytest.fixture(scope="module")
def shared_listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener for all of it."""
    data_dir = tmp_path_factory.mktemp("data")
    with running_listener(listener_settings(data_dir, maximum_object_bytes=2**20)) as running:
        yield running


@pytest.fixture
def listener(shared_listener: RunningListener) -> Iterator[RunningListener]:
    """The listener; afterwards it holds nothing of study 1.2.3.4, nor anything partial."""
    yield shared_listener
    until(lambda: not shared_listener.partial_files(), within_s=10, what="nothing partial is left")
    assert shared_listener.stored() == ()


def rejection(port: int, **titles: str) -> tuple[int, int, int]:
    """Result, source and diagnostic of a rejected association."""
    with association(port, CONTEXTS, **titles) as opened:
        assert opened.is_rejected
        answer = opened.acceptor.primitive
        assert isinstance(answer, A_ASSOCIATE)
        return answer.result, answer.result_source, answer.diagnostic


def stored_by_raw_peer(port: int, sop_instance_uid: str, data: bytes) -> int:
    """Status of a C-STORE whose command and data set may differ."""
    with RawPeer(port) as peer:
        peer.associate()
        peer.send(store_request(sop_instance_uid, data))
        return status_of(peer.receive_pdu()[1])


def test_unknown_caller_is_rejected(listener: RunningListener) -> None:
    """Closed by default: calling AE title not recognised (PS3.8 9.3.4)."""
    assert rejection(listener.port, calling_aet="STRANGER") == (1, 1, 3)


def test_wrong_called_title_is_rejected(listener: RunningListener) -> None:
    """A sender that means another node learns it: called AE title not recognised."""
    assert rejection(listener.port, called_aet="OTHER") == (1, 1, 7)


def test_peer_that_may_not_send_is_rejected(tmp_path: Path) -> None:
    """A destination is not a sender by itself."""
    settings = listener_settings(tmp_path)
    peers = tuple(peer.model_copy(update={"may_send": False}) for peer in settings.peers)
    with running_listener(settings.model_copy(update={"peers": peers})) as running:
        assert rejection(running.port) == (1, 1, 3)


def test_unknown_caller_is_admitted_where_the_site_says_so(tmp_path: Path) -> None:
    """accept_unknown_callers opens the node."""
    with running_listener(listener_settings(tmp_path, accept_unknown_callers=True)) as running:
        assert send(running.port, ct_instance(), calling_aet="STRANGER") == [0x0000]


def test_association_beyond_the_limit_is_a_passing_shortage(tmp_path: Path) -> None:
    """Local limit exceeded, transient: the sender tries again later."""
    with (
        running_listener(listener_settings(tmp_path, maximum_associations=1)) as running,
        association(running.port, CONTEXTS) as first,
    ):
        assert first.is_established
        assert rejection(running.port) == (2, 3, 2)


TITLES_THAT_ARE_NONE = [
    b" " * 16,
    b"\0" * 16,
    b"A\0B",
    b"\x1b[31mX",
    b"NODE\\X",
    b"NODE\x7f",
    "Ä".encode(),
    b"\xff" * 16,
]
REASONS = {"calling": 3, "called": 7}


@pytest.mark.parametrize("title", [b"../../etc/passwd", b"%s%n", *TITLES_THAT_ARE_NONE])
@pytest.mark.parametrize("side", REASONS)
def test_hostile_title_is_rejected_as_not_recognised(listener: RunningListener, title: bytes, side: str) -> None:
    """Whatever stands in an AE title, the peer hears which of the two it is (PS3.8 9.3.4), and the node goes on."""
    with RawPeer(listener.port) as peer:
        assert peer.associate(**{side: title}) == (A_ASSOCIATE_RJ, bytes([0, 1, 1, REASONS[side]]))
        assert peer.receive_all() == b""
    with association(listener.port, CONTEXTS) as opened:
        assert opened.is_established


@pytest.mark.parametrize("side", REASONS)
def test_a_title_that_is_none_is_said_and_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture, side: str) -> None:
    """An administrator finds the caller in the log and among those refused, in printable characters."""
    with running_listener(listener_settings(tmp_path)) as running, RawPeer(running.port) as peer:
        assert peer.associate(**{side: b"\x1b[31mX\xff"})[0] == A_ASSOCIATE_RJ
        (line,) = [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]
    assert "AE title: it is blank, or has characters" in line
    assert "x1b[31mX" in line
    assert line.isprintable()
    assert line.isascii()
    index = open_index(running.settings)
    (noted,) = index.refused_callers.newest()
    index.close()
    assert (noted.key.reason, noted.key.address) == (f"no_{side}_ae_title", "127.0.0.1")
    assert getattr(noted.key, f"{side}_aet") == "\\x1b[31mX\\xff"


def test_titles_may_be_padded_with_nul(listener: RunningListener) -> None:
    """As old modalities do, for blanks."""
    with RawPeer(listener.port) as peer:
        calling, called = SENDER.encode().ljust(16, b"\0"), AE_TITLE.encode().ljust(10).ljust(16, b"\0")
        assert peer.associate(calling=calling, called=called)[0] == A_ASSOCIATE_AC


def test_other_instance_than_announced_is_refused(listener: RunningListener) -> None:
    """0xA900: SOP Instance UIDs of command and data set differ."""
    data = encoded(ct_instance())
    assert stored_by_raw_peer(listener.port, generate_uid(), data) == 0xA900


def test_other_class_than_announced_is_refused(listener: RunningListener) -> None:
    """0xA900: SOP Class UIDs of command and data set differ."""
    dataset = ct_instance(SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    assert stored_by_raw_peer(listener.port, dataset.SOPInstanceUID, encoded(dataset)) == 0xA900


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_instance_without_a_place_is_refused(listener: RunningListener, keyword: str) -> None:
    """0xC000: without its UIDs an instance belongs nowhere."""
    uid = ct_instance().SOPInstanceUID
    assert stored_by_raw_peer(listener.port, uid, encoded(ct_instance(**{keyword: None}))) == 0xC000


def made_since(before: Container[Path], above: Path) -> list[Path]:
    """What is below a folder and was not, but for the files of the database."""
    return [path for path in above.rglob("*") if path not in before and "sqlite" not in path.name]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("uid", ["../../../tmp/x", "/etc/passwd", "..", "1.2.3/4", "1." + "2" * 70, "x"])
def test_hostile_uid_is_refused_and_becomes_no_path(listener: RunningListener, uid: str) -> None:
    """A UID outside its grammar is refused by a status or an abort; no file is made anywhere."""
    above = listener.settings.data_dir.parent
    before = set(above.rglob("*"))
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(store_request(uid, encoded(ct_instance(SOPInstanceUID=uid))))
        kind, content = peer.receive_pdu()
        assert kind != 4 or status_of(content) == 0xC000
    until(lambda: not listener.partial_files(), within_s=10, what="nothing partial is left")
    # The audit trail renames a file now and then.
    until(lambda: not made_since(before, above), within_s=10, what="nothing is there that was not there before")


@pytest.mark.parametrize("data", [b"", b"\0", b"garbage that is no data set at all", b"\xff" * 5000])
def test_what_is_no_data_set_is_refused(listener: RunningListener, data: bytes) -> None:
    """0xC000: cannot understand."""
    assert stored_by_raw_peer(listener.port, generate_uid(), data) == 0xC000


def test_request_without_a_data_set_is_refused(listener: RunningListener) -> None:
    """A C-STORE that announces no data set is answered, not forgotten."""
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(p_data(store_command(generate_uid(), CommandDataSetType=0x0101), is_command=True, is_last=True))
        assert status_of(peer.receive_pdu()[1]) == 0xC000


def test_too_large_object_is_refused(listener: RunningListener) -> None:
    """0xA700 when it has arrived; the association goes on."""
    large = ct_instance(Rows=1024, Columns=1024, PixelData=bytes(1024 * 1024 * 2 - 1000))
    with association(listener.port, CONTEXTS) as opened:
        assert opened.send_c_store(large).Status == 0xA700
        assert opened.is_established


def test_endless_object_ends_the_association(listener: RunningListener) -> None:
    """What goes on long after the limit is cut."""
    endless = ct_instance(Rows=1024, Columns=4096, PixelData=bytes(1024 * 4096 * 2))
    with association(listener.port, CONTEXTS) as opened:
        assert "Status" not in opened.send_c_store(endless)


def test_reason_of_a_refusal_is_told(listener: RunningListener) -> None:
    """The error comment says why, without values."""
    with association(listener.port, CONTEXTS) as opened:
        status = opened.send_c_store(ct_instance(StudyInstanceUID=None))
    assert (status.Status, status.ErrorComment) == (0xC000, "Study Instance UID is missing")


@pytest.mark.usefixtures("each_engine")
@pytest.mark.filterwarnings("ignore:The value length", "ignore:Invalid value for VR LO")
@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
def test_an_id_that_no_index_holds_is_refused_by_itself(tmp_path: Path, keyword: str) -> None:
    """0xC000: to send it again would not help; the next object is taken, the longest ID that is allowed too."""
    text = {"SpecificCharacterSet": "ISO_IR 192"}
    longest = {"PatientID": "\U00020000" * 64, "IssuerOfPatientID": "\U00020000" * 64}
    with running_listener(listener_settings(tmp_path)) as running, association(running.port, CONTEXTS) as opened:
        status = opened.send_c_store(ct_instance(**text, **{keyword: "山" * 400}))
        assert (status.Status, status.ErrorComment) == (0xC000, PatientIdTooLongError.__doc__)
        assert opened.send_c_store(ct_instance(**text, **longest)).Status == 0x0000
        assert len(running.stored()) == 1


def test_failing_index_is_out_of_resources(tmp_path: Path) -> None:
    """0xA700 when the row cannot be written: Success is said only after the commit."""
    with running_listener(listener_settings(tmp_path)) as running:
        change_index(running, "ALTER TABLE instance RENAME TO broken")
        assert send(running.port, ct_instance()) == [0xA700]
        change_index(running, "ALTER TABLE broken RENAME TO instance")
        assert running.stored() == ()
        assert send(running.port, ct_instance()) == [0x0000]


def change_index(running: RunningListener, statement: str) -> None:
    """Change the index behind the listener's back."""
    engine = open_engine(running.settings.database_url)
    with writing(engine) as connection:
        connection.execute(text(statement))
    engine.dispose()


def with_room(free_bytes: int) -> Any:
    """The disk says that so much room is left."""
    return mock.patch("storage.disk.shutil.disk_usage", return_value=SimpleNamespace(free=free_bytes))


def is_rejected(running: RunningListener, *, free_bytes: int) -> bool:
    """Whether an association is rejected while there is so much room."""
    with with_room(free_bytes), association(running.port, CONTEXTS) as opened:
        return opened.is_rejected


def test_free_floor_is_kept(tmp_path: Path) -> None:
    """0xA700 in an association that was open when the room went; new ones are rejected until there is room again."""
    settings: Settings = listener_settings(tmp_path)
    floor = StorageSettings(free_floor_bytes=1000, association_margin_bytes=100)
    scarce = settings.model_copy(update={"storage": floor})
    with running_listener(scarce) as running, association(running.port, CONTEXTS) as opened:
        with with_room(999):
            assert opened.send_c_store(ct_instance()).Status == 0xA700
        assert running.partial_files() == []
        assert [is_rejected(running, free_bytes=room) for room in (1099, 1199, 1200)] == [True, True, False]


def test_full_disk_is_out_of_resources_until_there_is_room(listener: RunningListener) -> None:
    """0xA700, the partial file is gone, and the association goes on."""
    with association(listener.port, CONTEXTS) as opened:
        with mock.patch("storage.files.os.writev", side_effect=OSError(ENOSPC, os.strerror(ENOSPC))):
            assert opened.send_c_store(ct_instance()).Status == 0xA700
        assert opened.is_established
        assert opened.send_c_store(ct_instance(StudyInstanceUID="9.9")).Status == 0x0000


def test_failed_sync_is_never_a_success(listener: RunningListener) -> None:
    """A disk that cannot sync gets no object acknowledged."""
    with mock.patch("storage.files.os.fsync", side_effect=OSError(5, "EIO")):
        assert send(listener.port, ct_instance()) == [0xA700]


def test_defect_of_the_node_is_a_processing_failure(listener: RunningListener) -> None:
    """0x0110 and the node goes on, whatever our own code does."""
    with mock.patch("dicom_node.listen.receive.read_header_within", side_effect=ZeroDivisionError):
        assert send(listener.port, ct_instance()) == [0x0110]
    assert send(listener.port, ct_instance(StudyInstanceUID="9.9")) == [0x0000]
