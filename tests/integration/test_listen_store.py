"""Receiving over real associations: what is sent is what is kept."""

import hashlib
from collections.abc import Iterator

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts

from builders.instances import (
    compressed_ct_instance,
    ct_instance,
    dose_report,
    encoded,
    enhanced_ct_instance,
    localizer,
)
from builders.listener import (
    SENDER,
    VERIFICATION,
    RunningListener,
    association,
    data_set_bytes,
    listener_settings,
    running_listener,
    send,
    sha256,
)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener for all of it."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"))) as running:
        yield running


@pytest.fixture
def study(request: pytest.FixtureRequest) -> str:
    """A Study Instance UID for this test alone."""
    return f"1.2.{int(hashlib.sha256(request.node.name.encode()).hexdigest()[:12], 16)}"


def test_echo_is_answered(listener: RunningListener) -> None:
    """Verification works from a known sender."""
    with association(listener.port, [(VERIFICATION, [ImplicitVRLittleEndian])]) as opened:
        assert opened.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_data_set_is_kept_as_it_was_sent(listener: RunningListener, study: str, syntax: str) -> None:
    """Not a byte of the data set changes, whatever the transfer syntax."""
    dataset = ct_instance(study=study)
    sent = encoded(dataset, syntax)
    assert send(listener.port, dataset) == [0x0000]
    (path,) = listener.objects(study)
    assert data_set_bytes(path) == sent
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax


def test_compressed_fragments_are_kept_as_they_were_sent(listener: RunningListener, study: str) -> None:
    """Fragments pass through unopened, even those that no decoder takes."""
    dataset = compressed_ct_instance(b"opaque bytes, no image", study=study)
    sent = encoded(dataset, JPEG2000Lossless)
    assert send(listener.port, dataset) == [0x0000]
    assert data_set_bytes(listener.objects(study)[0]) == sent


def test_stored_file_is_dicom(listener: RunningListener, study: str) -> None:
    """Any reader opens the file; its meta information names class, instance and syntax, its preamble is empty."""
    dataset = ct_instance(study=study)
    send(listener.port, dataset)
    (path,) = listener.objects(study)
    meta = dcmread(path).file_meta
    assert path.read_bytes()[:132] == bytes(128) + b"DICM"
    assert meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert meta.MediaStorageSOPClassUID == CTImageStorage
    assert dcmread(path).PixelData == dataset.PixelData


def test_index_knows_hash_and_place(listener: RunningListener, study: str) -> None:
    """The row leads to the file, and the hash is the file's."""
    send(listener.port, ct_instance(study=study))
    (stored,) = listener.stored(study)
    (path,) = listener.objects(study)
    assert stored.sha256 == sha256(path) == path.stem
    assert path.parent.name == path.stem[:2]


def test_whole_study_is_taken(listener: RunningListener, study: str) -> None:
    """Scout and dose report come with the images, and are kept."""
    statuses = send(
        listener.port,
        localizer(study=study),
        ct_instance(1, study=study),
        ct_instance(2, study=study),
        dose_report(study=study),
    )
    assert statuses == [0x0000] * 4
    assert {stored.sop_class_uid for stored in listener.stored(study)} == {CTImageStorage, ComprehensiveSRStorage}
    assert len(listener.stored(study)) == 4


def test_an_enhanced_ct_is_one_instance(listener: RunningListener, study: str) -> None:
    """However many frames it has; the file is what was sent."""
    enhanced = enhanced_ct_instance(40, study=study)
    assert send(listener.port, enhanced) == [0x0000]
    (stored,) = listener.stored(study)
    assert stored.sop_class_uid == EnhancedCTImageStorage
    assert data_set_bytes(listener.objects(study)[0]) == encoded(enhanced)


def test_resend_is_one_row(listener: RunningListener, study: str) -> None:
    """The same object again, even from another association, changes nothing."""
    for _ in range(3):
        assert send(listener.port, ct_instance(1, study=study), ct_instance(1, study=study)) == [0x0000, 0x0000]
    assert len(listener.stored(study)) == len(listener.objects(study)) == 1


def test_object_of_many_fragments_arrives_whole(listener: RunningListener, study: str) -> None:
    """An object over hundreds of PDUs is put together without a gap."""
    dataset = ct_instance(study=study, Rows=1024, Columns=1024, PixelData=bytes(range(256)) * 8192)
    sent = encoded(dataset)
    with association(listener.port, [(CTImageStorage, [ExplicitVRLittleEndian])], maximum_pdu_bytes=4096) as opened:
        assert opened.send_c_store(dataset).Status == 0x0000
    assert data_set_bytes(listener.objects(study)[0]) == sent


def test_nothing_is_left_of_what_was_received(listener: RunningListener, study: str) -> None:
    """No partial file stays behind a success."""
    send(listener.port, ct_instance(1, study=study), ct_instance(2, study=study))
    assert listener.partial_files() == []


@pytest.mark.parametrize("part", range(2))
def test_every_storage_class_is_accepted_in_every_syntax(listener: RunningListener, part: int) -> None:
    """What pynetdicom names is negotiated; 128 contexts fit into one request."""
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    assert len(classes) > 128
    offered = classes[:128] if part == 0 else classes[128:]
    with association(listener.port, [(uid, ALL_TRANSFER_SYNTAXES) for uid in offered]) as opened:
        assert {str(context.abstract_syntax) for context in opened.accepted_contexts} == set(offered)


@pytest.mark.parametrize("syntax", ALL_TRANSFER_SYNTAXES[::6])
def test_syntax_is_accepted_alone(listener: RunningListener, syntax: str) -> None:
    """A sender that offers one syntax gets that one."""
    with association(listener.port, [(CTImageStorage, [syntax])]) as opened:
        assert opened.accepted_contexts[0].transfer_syntax == [syntax]


def test_explicit_vr_is_preferred(listener: RunningListener) -> None:
    """Private elements keep their VR where the sender leaves the choice."""
    offered = [ImplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian]
    with association(listener.port, [(CTImageStorage, offered)]) as opened:
        assert opened.accepted_contexts[0].transfer_syntax == [ExplicitVRLittleEndian]


def test_two_associations_at_once_lose_nothing(listener: RunningListener, study: str) -> None:
    """Interleaved senders of one study are all kept."""
    contexts = [(CTImageStorage, [ExplicitVRLittleEndian])]
    with association(listener.port, contexts) as first, association(listener.port, contexts) as second:
        for number in range(10):
            for opened in (first, second):
                offset = 100 * (opened is second)
                assert opened.send_c_store(ct_instance(number + offset, study=study)).Status == 0x0000
    assert len(listener.stored(study)) == 20


def test_calling_title_of_the_sender_is_recorded(listener: RunningListener, study: str) -> None:
    """The sender's title is padded on the wire and plain in our records."""
    assert send(listener.port, ct_instance(study=study), calling_aet=SENDER + "  ") == [0x0000]
