"""What the node asks of its peers, over real associations."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from builders.ports import free_port
from builders.scripted_scp import scripted_scp
from config.settings import Peer
from dicom_node.calling import Call, PeerUnreachableError, called
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


def complaint(port: int, *, host: str = "127.0.0.1") -> str:
    """What an administrator reads of a peer that does not answer C-ECHO."""
    with pytest.raises(PeerUnreachableError) as caught:
        echo(Peer(name="pacs", ae_title="PACS", host=host, port=port), own_aet="NODE")
    return caught.value.reason


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port that gives one caller these bytes, then closes the connection."""

    def answer_one() -> None:
        connection, _ = port.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as port:
        thread = Thread(target=answer_one)
        thread.start()
        yield port.getsockname()[1]
        thread.join(10)


def test_a_port_where_nobody_listens_is_told_with_its_address() -> None:
    """A connection that is refused says: the program does not run, the port is wrong, or a firewall is between."""
    port = free_port()
    assert complaint(port).startswith(f"pacs: 127.0.0.1:{port} refused the connection: does the PACS run")


@pytest.mark.parametrize("answer", [b"", bytes.fromhex("07 00 00000004 0000 00 00"), b"HTTP/1.1 400 Bad\r\n\r\n"])
def test_a_peer_that_ends_the_association_is_told_from_one_that_is_not_there(answer: bytes) -> None:
    """It closes the connection, aborts (PS3.8 9.3.8), or speaks something else: our AE title is the first to look at."""
    with answering(answer) as port:
        words = complaint(port)
    assert words.startswith(f"pacs: 127.0.0.1:{port} ended the association: does it know our AE title NODE")


def test_a_peer_that_rejects_us_says_why() -> None:
    """Its own words are passed on (PS3.8 9.3.4)."""
    ae = AE(ae_title="OTHER")
    ae.add_supported_context(Verification)
    ae.require_called_aet = True
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        words = complaint(server.server_address[1])
    finally:
        server.shutdown()
    assert "rejected the association (Called AE title not recognised): check both AE titles" in words


def test_a_port_that_takes_connections_and_says_nothing_is_told() -> None:
    """It may be another program, or one that waits for TLS."""
    peer = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=free_port())
    call = Call(own_aet="NODE", contexts=[build_context(Verification)], connect_timeout_s=0.5)
    with socket.create_server(("127.0.0.1", peer.port)), called(peer, call) as line:
        assert line.failure.startswith(f"127.0.0.1:{peer.port} takes connections and answers no DICOM within 0.5 s")


def test_a_host_without_an_address_is_told() -> None:
    """A typing error in a name, or a DNS that does not know it (RFC 6761 6.4: never an address)."""
    assert "no address is known for pacs.invalid" in complaint(104, host="pacs.invalid")


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
