"""Sends the test set to a peer through an outbox of its own, and says what became of each object."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from pydicom import dcmread
from pydicom.uid import CTImageStorage

from config.settings import Peer, Settings
from dicom_node.ae_test.study import (
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DESCRIPTION,
    LabelledStudy,
    label_as_test,
    make_labelled_study,
)
from dicom_node.clock import Clock
from dicom_node.delivery_words import deliveries_in_words
from dicom_node.destinations import destination_of
from dicom_node.errors import NodeError
from dicom_node.outbox import BackOff, Outbox
from dicom_node.peers import StoreAnswer, Verdict, accepted_classes, store_connection
from dicom_node.result_plan import result_plan
from dicom_node.results.context import ResultContext
from dicom_node.results.write import write_result_set
from storage.database import open_engine
from storage.disk import sha256_of
from storage.index import Index
from storage.lifecycle import Event, State
from storage.migrations import migrate
from storage.records import DeliveryView, PatientKey, ReceivedInstance, ResultFile

_ONE_TRY = BackOff(first_s=3600, maximum_s=3600, give_up_after_s=3600)
"""What the peer puts off is shown as such; nobody waits for it."""


_LEASE_S = 3600.0


class LostTestSetError(NodeError):
    """The index of the test set does not know its study; report this, nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentImages:
    """What became of the CT images, which viewers need to open the results on."""

    count: int
    taken: int
    transfer_syntax_uid: str
    """Empty when the peer does not accept CT Image Storage."""
    status: str
    """Of the last one, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentObject:
    """What became of one object of the result."""

    role: str
    rank: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    state: str
    """As in `study show`: delivered, declined, held, failed, waiting."""
    transfer_syntax_uid: str
    """What it was sent in; empty when it was not taken."""
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTest:
    """How a peer took the test set."""

    peer: str
    passed: bool
    """Every role was taken, if only by an alternative."""
    study_instance_uid: str
    """Of the study that is to be deleted in the peer."""
    patient_id: str
    images: SentImages | None
    """None: they were left out."""
    summary: tuple[str, ...]
    """What it got and what it declined, in words."""
    objects: tuple[SentObject, ...]


def send_test_set(settings: Settings, peer: Peer, *, with_images: bool, clock: Clock) -> PeerTest:
    """Make a study that nobody has, send what the settings of the peer ask for, look what it takes.

    Args:
        settings: Of the node; its data folder is neither read nor written.
        peer: Of the configuration, whether it receives results or not.
        with_images: Send the CT images too.
        clock: Gives the date of the study.

    Raises:
        PeerUnreachableError: No association.
    """
    own_aet = settings.node.ae_title
    # Before anything is made: a peer that is not there is told at once.
    accepted_classes(peer, own_aet=own_aet, sop_class_uids=(str(CTImageStorage),))
    with TemporaryDirectory(prefix="dicom-node-ae-test-") as name:
        folder = Path(name)
        study = make_labelled_study(folder / "ct", uid_seed=f"ae test {uuid4()}", made_at=clock.now())
        files = _write_results(settings, peer, study, folder=folder / "results")
        images = _send_images(peer, study.images, own_aet=own_aet) if with_images else None
        with _index_with(study, files, peer, folder=folder, clock=clock) as index:
            outbox = Outbox(index, peer, own_aet=own_aet, back_off=_ONE_TRY, clock=clock)
            while outbox.send_due():
                pass
            return _outcome(index, peer, study, images)


def _write_results(settings: Settings, peer: Peer, study: LabelledStudy, *, folder: Path) -> tuple[ResultFile, ...]:
    """Everything that this peer may be sent, each object labelled."""
    receives = peer.model_copy(update={"receives_results": True})
    context = ResultContext(
        software_version=importlib.metadata.version("dicom-node"),
        device_serial_number=settings.results.device_serial_number,
        institution=settings.results.institution,
        created_at=study.made_at,
        revision=1,
        plan=result_plan(settings.model_copy(update={"peers": (receives,)})),
    )
    files = write_result_set(study.analysis, context, folder=folder)
    label_as_test([file.path for file in files if file.sop_instance_uid])
    # The outbox sends only what has the hash that it was made with.
    return tuple(replace(file, sha256=sha256_of(file.path)) for file in files)


def _send_images(peer: Peer, paths: Sequence[Path], *, own_aet: str) -> SentImages:
    """Send until one is not taken: the others would not be either."""
    answers: list[StoreAnswer] = []
    with store_connection(peer, own_aet=own_aet, sop_class_uids=(str(CTImageStorage),)) as connection:
        (offer,) = connection.answers
        for path in paths:
            answers.append(connection.store(path))
            if answers[-1].verdict is not Verdict.ACCEPTED:
                break
    return SentImages(
        count=len(paths),
        taken=sum(answer.verdict is Verdict.ACCEPTED for answer in answers),
        transfer_syntax_uid=next(iter(offer.transfer_syntax_uids), ""),
        status=answers[-1].words,
    )


@contextmanager
def _index_with(
    study: LabelledStudy, files: Sequence[ResultFile], peer: Peer, *, folder: Path, clock: Clock
) -> Iterator[Index]:
    """An index of its own, in which the results of the study are due for the peer as they are in the node's."""
    url = f"sqlite:///{folder / 'index.sqlite'}"
    migrate(url)
    index = Index(open_engine(url), now=clock.now)
    try:
        index.record_received([_received(study)])
        index.apply(study.study_instance_uid, Event.COMPLETED, why=STUDY_DESCRIPTION)
        index.apply(study.study_instance_uid, Event.PRIORS_SETTLED, why=STUDY_DESCRIPTION)
        claim = index.claim_next(owner="ae test", lease_s=_LEASE_S)
        if claim is None:
            raise LostTestSetError
        index.finish_succeeded(claim, files, destinations=[destination_of(peer)], why=STUDY_DESCRIPTION)
        yield index
    finally:
        index.close()


def _received(study: LabelledStudy) -> ReceivedInstance:
    """One of the images as the listener would have put it into the index."""
    path = study.images[0]
    image = dcmread(path, stop_before_pixels=True)
    return ReceivedInstance(
        sop_instance_uid=str(image.SOPInstanceUID),
        sop_class_uid=str(image.SOPClassUID),
        transfer_syntax_uid=str(image.file_meta.TransferSyntaxUID),
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=str(image.SeriesInstanceUID),
        patient=PatientKey(patient_id=PATIENT_ID, issuer=str(image.IssuerOfPatientID)),
        patient_name=PATIENT_NAME,
        birth_date=str(image.PatientBirthDate),
        sex=str(image.PatientSex),
        accession_number="",
        study_description=STUDY_DESCRIPTION,
        series_description=str(image.SeriesDescription),
        modality=str(image.Modality),
        body_part=str(image.BodyPartExamined),
        instance_number=int(image.InstanceNumber),
        acquired_at=study.made_at,
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        relative_path=path.name,
        calling_aet="",
        called_aet="",
        received_at=study.made_at,
    )


def _outcome(index: Index, peer: Peer, study: LabelledStudy, images: SentImages | None) -> PeerTest:
    """What the index says when everything was tried."""
    view = index.study(study.study_instance_uid)
    if view is None:
        raise LostTestSetError
    syntaxes = {answer.sop_class_uid: answer.transfer_syntax_uid for answer in index.answers_of(peer.name)}
    return PeerTest(
        peer=peer.name,
        passed=view.state is State.DELIVERED,
        study_instance_uid=study.study_instance_uid,
        patient_id=PATIENT_ID,
        images=images,
        summary=deliveries_in_words(view.deliveries),
        objects=tuple(_sent_object(delivery, syntaxes.get(delivery.sop_class_uid, "")) for delivery in view.deliveries),
    )


def _sent_object(delivery: DeliveryView, transfer_syntax_uid: str) -> SentObject:
    """A delivery without what only a real study has."""
    return SentObject(
        role=delivery.role,
        rank=delivery.rank,
        kind=delivery.kind,
        sop_class_uid=delivery.sop_class_uid,
        sop_instance_uid=delivery.sop_instance_uid,
        state=delivery.state,
        transfer_syntax_uid=transfer_syntax_uid if delivery.state == "delivered" else "",
        status=delivery.last_status,
    )
