"""Each destination gets the best that it takes, over real associations."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from builders.clock import FakeClock
from builders.index import build_index, claimed_study, state_of, view_of
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import running_orthanc
from builders.scripted_scp import scripted_scp
from builders.sendable import study_uid_of, write_sendable
from builders.storescp import DEFLATED, EXPLICIT, IMPLICIT, running_storescp
from config.settings import NodeSettings, Peer, Settings
from dicom_node.delivery_words import deliveries_in_words
from dicom_node.destinations import destination_of
from dicom_node.outbox import BackOff, Outbox
from dicom_node.status import node_status
from storage.index import Index
from storage.lifecycle import State
from storage.records import ResultFile

STUDY = "1.2.3"
BACK_OFF = BackOff(first_s=5, maximum_s=600, give_up_after_s=86_400)
EVERY_SYNTAX = (EXPLICIT, IMPLICIT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultFile, ...]:
    """Reports of three classes, segmentations, a capture, a PDF."""
    return write_sendable(tmp_path_factory.mktemp("results"))


def delivered(index: Index, peer: Peer, files: Sequence[ResultFile], clock: FakeClock) -> str:
    """Send a result to a peer in one sweep of the outbox; returns what the study says of it."""
    index.finish_succeeded(claimed_study(index, STUDY), files, destinations=[destination_of(peer)], why="2 lesions")
    Outbox(index, peer, own_aet="NODE", back_off=BACK_OFF, clock=clock).send_due()
    (line,) = deliveries_in_words(view_of(index, STUDY).deliveries)
    return line


def by_class(datasets: Sequence[Dataset]) -> list[str]:
    """Names of the SOP classes, sorted."""
    return sorted(dataset.SOPClassUID.name for dataset in datasets)


def assert_equal_to_files(got: dict[str, Dataset], files: Sequence[ResultFile]) -> None:
    """Every object that was taken equals its file, element by element."""
    made = {file.sop_instance_uid: dcmread(file.path) for file in files}
    assert got
    for uid, dataset in got.items():
        assert dataset == made[uid]


def test_storescp_that_takes_comprehensive_sr_and_secondary_capture_gets_these(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """The capture goes in the place of the segmentations over the same association, and the study says so."""
    clock, accepts = FakeClock(), dict.fromkeys([ComprehensiveSRStorage, SecondaryCaptureImageStorage], EVERY_SYNTAX)
    index = build_index(tmp_path, clock)
    with running_storescp(tmp_path, accepts=accepts) as pacs:
        peer = pacs.peer.model_copy(update={"results": ("sr", "seg")})
        line = delivered(index, peer, files, clock)
        got = pacs.objects()
    assert by_class(list(got.values())) == ["Comprehensive SR Storage", "Secondary Capture Image Storage"]
    assert_equal_to_files(got, files)
    assert state_of(index, STUDY) is State.DELIVERED
    assert line == (
        "pacs: report as Comprehensive SR; "
        "segmentations declined (Segmentation not accepted), Secondary Capture Image sent instead"
    )


def test_storescp_that_refuses_seg_gets_everything_else_and_status_says_so(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """The second best report too, where it does not know the best."""
    accepts = dict.fromkeys([EnhancedSRStorage, SecondaryCaptureImageStorage, EncapsulatedPDFStorage], EVERY_SYNTAX)
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    with running_storescp(tmp_path, accepts=accepts) as pacs:
        delivered(index, pacs.peer, files, clock)
        got = pacs.objects()
    assert by_class(list(got.values())) == [
        "Encapsulated PDF Storage",
        "Enhanced SR Storage",
        "Secondary Capture Image Storage",
    ]
    assert state_of(index, STUDY) is State.DELIVERED
    settings = Settings(node=NodeSettings(data_dir=tmp_path), peers=(pacs.peer,))
    (status,) = node_status(settings, index, clock=clock).destinations
    assert [choice.words for choice in status.roles] == [
        "report as Enhanced SR (refuses Comprehensive SR)",
        "segmentations as Secondary Capture Image (refuses Segmentation)",
        "PDF as Encapsulated PDF",
    ]


def test_storescp_that_takes_no_pdf_has_everything_else_and_the_study_is_delivered(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """The report says what the PDF says; what was declined is shown."""
    clock, accepts = FakeClock(), dict.fromkeys([ComprehensiveSRStorage, SegmentationStorage], EVERY_SYNTAX)
    index = build_index(tmp_path, clock)
    with running_storescp(tmp_path, accepts=accepts) as pacs:
        line = delivered(index, pacs.peer, files, clock)
        assert len(pacs.objects()) == 3
    assert "PDF declined (Encapsulated PDF not accepted)" in line
    assert state_of(index, STUDY) is State.DELIVERED


def test_storescp_that_takes_no_segmentation_nor_gets_captures_leaves_a_study_that_says_what_to_allow(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """What has no alternative is shown; everything else is there."""
    clock, accepts = FakeClock(), dict.fromkeys([ComprehensiveSRStorage, EncapsulatedPDFStorage], EVERY_SYNTAX)
    index = build_index(tmp_path, clock)
    with running_storescp(tmp_path, accepts=accepts) as pacs:
        peer = pacs.peer.model_copy(update={"capture_without_seg": False})
        delivered(index, peer, files, clock)
        assert len(pacs.objects()) == 2
    view = view_of(index, STUDY)
    assert view.state is State.DELIVERY_FAILED
    assert view.reason == (
        "pacs takes nothing as segmentations: pacs does not accept Segmentation Storage (SOP class not supported): "
        "let it accept this SOP class"
    )


def test_orthanc_gets_the_best_of_everything(files: tuple[ResultFile, ...], tmp_path: Path) -> None:
    """A PACS that takes all that DICOM has."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    with running_orthanc(tmp_path) as orthanc:
        peer = _orthanc_peer(orthanc.dicom_port)
        line = delivered(index, peer, files, clock)
        modalities = orthanc.modalities(study_uid_of(files))
    assert modalities == {"SR", "SEG", "DOC"}
    assert line == "pacs: report as Comprehensive SR; segmentations as Segmentation; PDF as Encapsulated PDF"
    assert state_of(index, STUDY) is State.DELIVERED


def test_a_class_that_is_negotiated_and_then_refused_by_status_is_declined_too(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """0x0122 is about the class, so the next best goes; the answer is remembered as a refusal."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    classes = [ComprehensiveSRStorage, EnhancedSRStorage]
    with scripted_scp(lambda n: 0x0122 if n == 0 else 0x0000, sop_class_uids=classes) as scp:
        line = delivered(index, scp.peer.model_copy(update={"results": ("sr",)}), files, clock)
    assert line == "pacs: report declined (Comprehensive SR not accepted), Enhanced SR sent instead"
    answers = {answer.sop_class_uid: answer for answer in index.answers_of("pacs")}
    assert "0x0122" in answers[ComprehensiveSRStorage].refusal
    assert answers[EnhancedSRStorage].transfer_syntax_uid == ExplicitVRLittleEndian


def test_a_peer_that_refuses_everything_is_not_taken_for_one_that_is_down(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """Nothing would ever change by waiting; the administrator reads what to allow."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    with scripted_scp(lambda _: 0, sop_class_uids=[]) as scp:
        delivered(index, scp.peer.model_copy(update={"results": ("sr",)}), files, clock)
    view = view_of(index, STUDY)
    assert view.state is State.DELIVERY_FAILED
    assert all(f"{name} SR Storage" in view.reason for name in ("Comprehensive", "Enhanced", "Basic Text"))


def test_an_object_refused_for_its_content_is_not_replaced(files: tuple[ResultFile, ...], tmp_path: Path) -> None:
    """0xA900 is about the object: somebody is to see it."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    classes = [ComprehensiveSRStorage, EnhancedSRStorage]
    with scripted_scp(lambda _: 0xA900, sop_class_uids=classes) as scp:
        line = delivered(index, scp.peer.model_copy(update={"results": ("sr",)}), files, clock)
        assert len(scp.received) == 1
    assert line == "pacs: report failed as Comprehensive SR (status 0xA900 refused for good)"
    assert state_of(index, STUDY) is State.DELIVERY_FAILED


def test_a_pacs_that_learnt_to_take_segmentations_gets_them_on_a_resend(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """The operator's resend begins with the best again."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    with scripted_scp(lambda _: 0, sop_class_uids=[ComprehensiveSRStorage, SecondaryCaptureImageStorage]) as old:
        peer = old.peer.model_copy(update={"results": ("sr", "seg")})
        delivered(index, peer, files, clock)
    with scripted_scp(lambda _: 0, sop_class_uids=[ComprehensiveSRStorage, SegmentationStorage]) as new:
        peer = new.peer.model_copy(update={"results": ("sr", "seg")})
        index.resend(STUDY, destinations=[destination_of(peer)])
        Outbox(index, peer, own_aet="NODE", back_off=BACK_OFF, clock=clock).send_due()
        assert len(new.received) == 3
    assert state_of(index, STUDY) is State.DELIVERED


def test_storescp_that_accepts_deflated_gets_it_and_reads_the_same(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """The same SOP Instances, lossless, and smaller; the PDF, which is compressed itself, goes as it is."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    classes = [ComprehensiveSRStorage, SegmentationStorage, EncapsulatedPDFStorage]
    with running_storescp(tmp_path, accepts=dict.fromkeys(classes, (DEFLATED, EXPLICIT, IMPLICIT))) as pacs:
        delivered(index, pacs.peer.model_copy(update={"compression": "deflated"}), files, clock)
        got = pacs.objects()
        sent_bytes = sum(path.stat().st_size for path in pacs.folder.iterdir())
    syntaxes = {dataset.SOPClassUID: dataset.file_meta.TransferSyntaxUID for dataset in got.values()}
    assert syntaxes == {
        ComprehensiveSRStorage: DeflatedExplicitVRLittleEndian,
        SegmentationStorage: DeflatedExplicitVRLittleEndian,
        EncapsulatedPDFStorage: ExplicitVRLittleEndian,
    }
    assert len(got) == 4
    assert_equal_to_files(got, files)
    plain_bytes = sum(file.path.stat().st_size for file in files if file.sop_instance_uid in got)
    assert sent_bytes < plain_bytes / 4
    assert state_of(index, STUDY) is State.DELIVERED


def test_storescp_that_does_not_accept_deflated_gets_the_objects_as_they_are(
    files: tuple[ResultFile, ...], tmp_path: Path
) -> None:
    """The setting is a wish."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    accepts = dict.fromkeys([ComprehensiveSRStorage, SegmentationStorage], EVERY_SYNTAX)
    with running_storescp(tmp_path, accepts=accepts) as pacs:
        peer = pacs.peer.model_copy(update={"compression": "deflated", "results": ("sr", "seg")})
        delivered(index, peer, files, clock)
        got = pacs.objects()
    assert {dataset.file_meta.TransferSyntaxUID for dataset in got.values()} == {ExplicitVRLittleEndian}
    assert_equal_to_files(got, files)


def test_orthanc_returns_deflated_objects_as_they_were_made(files: tuple[ResultFile, ...], tmp_path: Path) -> None:
    """Read back by DICOMweb, element by element."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    with running_orthanc(tmp_path) as orthanc:
        peer = _orthanc_peer(orthanc.dicom_port).model_copy(update={"compression": "deflated"})
        delivered(index, peer, files, clock)
        study = study_uid_of(files)
        returned = [one for modality in ("SR", "SEG") for one in orthanc.instances_of_modality(study, modality)]
    answers = {answer.sop_class_uid: answer.transfer_syntax_uid for answer in index.answers_of("pacs")}
    assert answers[SegmentationStorage] == DeflatedExplicitVRLittleEndian
    assert len(returned) == 3
    assert_equal_to_files({str(dataset.SOPInstanceUID): dataset for dataset in returned}, files)


def _orthanc_peer(port: int) -> Peer:
    return Peer(name="pacs", ae_title=ORTHANC_AE_TITLE, host="127.0.0.1", port=port, receives_results=True)
