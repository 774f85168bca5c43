"""However a sender cuts its messages, objects arrive whole, and whatever is no plain C-STORE is still served."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import (
    VERIFICATION,
    RunningListener,
    association,
    data_set_bytes,
    listener_settings,
    running_listener,
    send,
)
from builders.listener_process import listener_process
from builders.ports import free_port
from builders.raw_peer import (
    A_ABORT,
    P_DATA,
    RawPeer,
    p_data,
    pdu,
    pdv,
    status_of,
    store_command,
    store_request,
)
from dicom_node.listen.header import HEAD_BYTES

LARGE_BYTES = 300 * 2**20
PIECE_BYTES = 2**17 - 12


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One for all."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"))) as running:
        yield running


CUTS = {
    "command and data in one PDU": lambda command, data: pdu(
        P_DATA, pdv(command, is_command=True, is_last=True) + pdv(data, is_command=False, is_last=True)
    ),
    "many fragments in one PDU": lambda command, data: (
        p_data(command, is_command=True, is_last=True)
        + pdu(
            P_DATA,
            pdv(data[:7], is_command=False, is_last=False)
            + pdv(b"", is_command=False, is_last=False)
            + pdv(data[7:], is_command=False, is_last=True),
        )
    ),
    "last fragment is empty": lambda command, data: (
        p_data(command, is_command=True, is_last=True)
        + p_data(data, is_command=False, is_last=False)
        + p_data(b"", is_command=False, is_last=True)
    ),
    "command in two fragments": lambda command, data: (
        p_data(command[:50], is_command=True, is_last=False)
        + p_data(command[50:], is_command=True, is_last=True)
        + p_data(data, is_command=False, is_last=True)
    ),
    "fragments of one byte": lambda command, data: (
        p_data(command, is_command=True, is_last=True)
        + b"".join(p_data(data[at : at + 1], is_command=False, is_last=False) for at in range(len(data) - 1))
        + p_data(data[-1:], is_command=False, is_last=True)
    ),
}


@pytest.mark.parametrize("cut", CUTS)
def test_object_is_whole_however_it_is_cut(listener: RunningListener, cut: str) -> None:
    """PS3.8 E.2 leaves the cutting to the sender."""
    study = f"6.{list(CUTS).index(cut)}"
    dataset = ct_instance(study=study)
    data = encoded(dataset)
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(CUTS[cut](store_command(str(dataset.SOPInstanceUID)), data))
        kind, answer = peer.receive_pdu()
        assert (kind, status_of(answer)) == (P_DATA, 0x0000)
    (path,) = listener.objects(study)
    assert data_set_bytes(path) == data


def test_object_with_a_private_element_longer_than_the_head_is_kept(listener: RunningListener) -> None:
    """It stands before the UIDs; they are read behind it."""
    dataset = ct_instance(study="7.2")
    dataset.private_block(0x0009, "VENDOR", create=True).add_new(0x01, "OB", bytes(3 * HEAD_BYTES))
    assert send(listener.port, dataset) == [0x0000]
    (path,) = listener.objects("7.2")
    assert data_set_bytes(path) == encoded(dataset)


def test_object_that_arrives_byte_by_byte_is_whole(listener: RunningListener) -> None:
    """What arrives ends anywhere, in the middle of a head too."""
    dataset = ct_instance(study="7.1")
    with RawPeer(listener.port) as peer:
        peer.associate()
        for byte in store_request(str(dataset.SOPInstanceUID), encoded(dataset)):
            peer.send(bytes([byte]))
        assert status_of(peer.receive_pdu()[1]) == 0x0000
    assert data_set_bytes(listener.objects("7.1")[0]) == encoded(dataset)


def test_each_request_gets_its_own_answer(listener: RunningListener) -> None:
    """Refusals and successes in one association, in the order of the requests."""
    good, bad = ct_instance(1, study="7.2"), ct_instance(2, study="7.2", StudyInstanceUID=None)
    with RawPeer(listener.port) as peer:
        peer.associate()
        for dataset, status in ((good, 0x0000), (bad, 0xC000), (ct_instance(3, study="7.2"), 0x0000)):
            peer.send(store_request(str(dataset.SOPInstanceUID), encoded(dataset), MessageID=status % 7 + 1))
            answer = peer.receive_pdu()[1]
            assert status_of(answer) == status
            assert struct.pack("<HHLH", 0, 0x0120, 2, status % 7 + 1) in answer
            assert str(dataset.SOPInstanceUID).encode() in answer
    assert len(listener.stored("7.2")) == 2


def test_data_in_another_context_than_its_request_abort(listener: RunningListener) -> None:
    """The object is not put together from two contexts; nothing is left of it."""
    dataset = ct_instance(study="7.3")
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(p_data(store_command(str(dataset.SOPInstanceUID)), is_command=True, is_last=True))
        peer.send(p_data(encoded(dataset), is_command=False, is_last=True).replace(b"\1\2", b"\3\2", 1))
        assert peer.receive_pdu()[0] == A_ABORT
    until(lambda: not listener.partial_files(), within_s=10, what="the partial file is gone")
    assert listener.stored("7.3") == ()


def test_echo_between_objects_is_answered(listener: RunningListener) -> None:
    """Other services go on beside objects in the same association."""
    contexts = [(CTImageStorage, [ImplicitVRLittleEndian]), (VERIFICATION, [ImplicitVRLittleEndian])]
    with association(listener.port, contexts) as opened:
        for number in range(3):
            dataset = ct_instance(number, study="7.4")
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            assert opened.send_c_store(dataset).Status == 0x0000
            assert opened.send_c_echo().Status == 0x0000
    assert len(listener.stored("7.4")) == 3


def test_object_on_the_context_of_another_class_is_judged_by_its_data(listener: RunningListener) -> None:
    """What is no plain request goes the slow way, and is refused or stored as ever."""
    contexts = [(CTImageStorage, [ExplicitVRLittleEndian])]
    dataset = ct_instance(study="7.5")
    with association(listener.port, contexts) as opened, RawPeer(listener.port) as peer:
        peer.associate()
        request = store_request(
            str(dataset.SOPInstanceUID), encoded(dataset), AffectedSOPClassUID="1.2.840.10008.5.1.4.1.1.4"
        )
        peer.send(request)
        assert status_of(peer.receive_pdu()[1]) == 0xA900
        assert opened.send_c_store(dataset).Status == 0x0000


def test_large_object_costs_no_memory(tmp_path: Path) -> None:
    """300 MiB pass through less than 32 MiB of the process that listens."""
    port = free_port()
    with listener_process(tmp_path, port) as process, RawPeer(port) as peer:
        peer.associate()
        small = ct_instance(1)
        peer.send(store_request(str(small.SOPInstanceUID), encoded(small)))
        assert status_of(peer.receive_pdu()[1]) == 0x0000
        before_kib = _largest_memory_kib(process.pid)
        large = ct_instance(2, PixelData=None)
        peer.send(p_data(store_command(str(large.SOPInstanceUID)), is_command=True, is_last=True))
        peer.send(p_data(encoded(large), is_command=False, is_last=False))
        head = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", LARGE_BYTES // PIECE_BYTES * PIECE_BYTES)
        peer.send(p_data(head, is_command=False, is_last=False))
        piece = p_data(bytes(PIECE_BYTES), is_command=False, is_last=False)
        for _ in range(LARGE_BYTES // PIECE_BYTES):
            peer.send(piece)
        peer.send(p_data(b"", is_command=False, is_last=True))
        assert status_of(peer.receive_pdu()[1]) == 0x0000
        assert _largest_memory_kib(process.pid) - before_kib < 32 * 1024


def _largest_memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
