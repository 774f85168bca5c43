"""What the node asks of its peers, over real associations."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage

from builders.ports import free_port
from builders.scripted_scp import scripted_scp
from config.settings import Peer
from dicom_node.calling import PeerUnreachableError
from dicom_node.peers import Verdict, accepted_classes, answer_from_status, echo, store_connection


def sr_file(folder: Path) -> Path:
    """The smallest object that can be sent."""
    dataset = Dataset()
    dataset.SOPClassUID = ComprehensiveSRStorage
    dataset.SOPInstanceUID = "2.25.1"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(folder / "sr.dcm", enforce_file_format=True)
    return folder / "sr.dcm"


def test_echo_reaches_a_peer_that_runs() -> None:
    """C-ECHO to a running SCP says nothing."""
    with scripted_scp(lambda n: 0, sop_class_uids=()) as scp:
        echo(scp.peer, own_aet="NODE")


# pynetdicom 3.0.4 leaves the socket of a refused connection to the garbage collector (transport.py, connect).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_echo_says_what_to_check_when_nobody_answers() -> None:
    """A port where nobody listens is named as such."""
    peer = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=free_port())
    with pytest.raises(PeerUnreachableError, match="nobody answers at its address and port"):
        echo(peer, own_aet="NODE")


def test_accepted_classes_are_told_from_refused_ones() -> None:
    """Negotiation alone shows what a peer takes."""
    with scripted_scp(lambda n: 0, sop_class_uids=[ComprehensiveSRStorage]) as scp:
        found = accepted_classes(scp.peer, own_aet="NODE", sop_class_uids=[ComprehensiveSRStorage, SegmentationStorage])
    assert found[0].transfer_syntax_uids
    assert not found[1].transfer_syntax_uids


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0x0000, Verdict.ACCEPTED),
        (0xB000, Verdict.ACCEPTED),
        (0x0111, Verdict.ACCEPTED),
        (0xA700, Verdict.TRY_AGAIN),
        (0xA900, Verdict.REFUSED),
        (0xC000, Verdict.REFUSED),
        (0x0122, Verdict.DECLINED),
    ],
)
def test_each_status_has_its_verdict(status: int, verdict: Verdict, tmp_path: Path) -> None:
    """The status that a real SCP answers decides what becomes of the delivery."""
    with (
        scripted_scp(lambda n: status, sop_class_uids=[ComprehensiveSRStorage]) as scp,
        store_connection(scp.peer, own_aet="NODE", sop_class_uids=[ComprehensiveSRStorage]) as connection,
    ):
        answer = connection.store(sr_file(tmp_path))
    assert answer.verdict is verdict
    assert f"0x{status:04X}" in answer.words


def test_an_abort_instead_of_an_answer_is_tried_again(tmp_path: Path) -> None:
    """No answer is no refusal."""
    with (
        scripted_scp(lambda n: None, sop_class_uids=[ComprehensiveSRStorage]) as scp,
        store_connection(scp.peer, own_aet="NODE", sop_class_uids=[ComprehensiveSRStorage]) as connection,
    ):
        first = connection.store(sr_file(tmp_path))
        second = connection.store(sr_file(tmp_path))
    assert (first.verdict, second.verdict) == (Verdict.TRY_AGAIN, Verdict.TRY_AGAIN)


def test_a_class_the_peer_does_not_negotiate_is_declined_by_name(tmp_path: Path) -> None:
    """The administrator reads which SOP class to allow."""
    with (
        scripted_scp(lambda n: 0, sop_class_uids=[SegmentationStorage]) as scp,
        store_connection(
            scp.peer, own_aet="NODE", sop_class_uids=[ComprehensiveSRStorage, SegmentationStorage]
        ) as connection,
    ):
        answer = connection.store(sr_file(tmp_path))
    assert answer.verdict is Verdict.DECLINED
    assert "Comprehensive SR Storage" in answer.words


def test_every_status_has_a_verdict() -> None:
    """No status of a foreign system is an error of ours."""
    assert all(answer_from_status(status).verdict in Verdict for status in range(0x10000))
