"""The demo's PACS and sender, against each other."""

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian

from builders.instances import compressed_ct_instance, ct_instance, dose_report
from builders.ports import free_port
from config.settings import Peer
from dicom_node.demo.pacs import PacsError, SmallPacs
from dicom_node.demo.send import SendError, send_files


def _files(folder: Path, *datasets: Dataset) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def _address(pacs: SmallPacs) -> Peer:
    return Peer(name="pacs", ae_title=pacs.ae_title, host="127.0.0.1", port=pacs.port)


def test_objects_are_kept_as_they_were_sent_each_in_its_transfer_syntax(tmp_path: Path) -> None:
    """Compressed, implicit and explicit ones travel in one association."""
    implicit = ct_instance(2)
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    paths = _files(tmp_path, ct_instance(3), implicit, compressed_ct_instance(b"\xff\x4f\xff\x51"), dose_report())

    with SmallPacs(tmp_path / "pacs") as pacs:
        send_files(paths, _address(pacs), own_aet="SCANNER", on_sent=lambda _: None)

    kept = {entry.sop_instance_uid: dcmread(entry.path) for entry in pacs.ledger}
    for sent in map(dcmread, paths):
        assert kept[sent.SOPInstanceUID] == sent
        assert kept[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID


def test_an_object_that_comes_twice_is_twice_in_the_ledger(tmp_path: Path) -> None:
    """The ledger is what tests of exactly-once read."""
    (path,) = _files(tmp_path, ct_instance(1))

    with SmallPacs(tmp_path / "pacs") as pacs:
        send_files([path, path], _address(pacs), own_aet="SCANNER", on_sent=lambda _: None)

    assert len(pacs.ledger) == 2
    assert len(pacs.kept("1.2.3.4")) == 2


def test_sending_tells_how_far_it_is(tmp_path: Path) -> None:
    """After each object that was taken."""
    counts: list[int] = []
    paths = _files(tmp_path, ct_instance(1), ct_instance(2))

    with SmallPacs(tmp_path / "pacs") as pacs:
        send_files(paths, _address(pacs), own_aet="SCANNER", on_sent=counts.append)

    assert counts == [1, 2]


def test_waiting_for_the_ledger_ends_with_the_first_object_that_fits(tmp_path: Path) -> None:
    """A test that waits has a deadline."""
    paths = _files(tmp_path, ct_instance(1))

    with SmallPacs(tmp_path / "pacs") as pacs:
        assert not pacs.wait_until(bool, timeout_s=0.01)
        send_files(paths, _address(pacs), own_aet="SCANNER", on_sent=lambda _: None)
        assert pacs.wait_until(bool, timeout_s=5)


# pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_receiver_that_is_not_there_ends_the_sending(tmp_path: Path) -> None:
    """The error names it."""
    nobody = Peer(name="node", ae_title="NOBODY", host="127.0.0.1", port=free_port())

    with pytest.raises(SendError, match="NOBODY"):
        send_files(_files(tmp_path, ct_instance(1)), nobody, own_aet="SCANNER", on_sent=lambda _: None)


def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    """No traceback for what an operator can mend."""
    with SmallPacs(tmp_path) as pacs, pytest.raises(PacsError), SmallPacs(tmp_path, port=pacs.port):
        pass
