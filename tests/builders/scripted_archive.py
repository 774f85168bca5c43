"""A PACS with query/retrieve that answers as a test tells it to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from config.settings import Peer

Yielded = Iterator[tuple[object, object] | int]


@dataclass(slots=True, kw_only=True)
class Script:
    """What the PACS does; the defaults are those of an honest one with nothing in it."""

    studies: Sequence[Dataset] = ()
    """Answers at study level."""
    series: Sequence[Dataset] = ()
    """Answers at series level, to whatever study."""
    images: Sequence[Dataset] = ()
    """What it sends, whatever it is asked for."""
    destination: tuple[str, int] | None = None
    """Where C-MOVE sends; None: the destination is unknown."""
    find_status: int = 0x0000
    gives: bool = True
    """Whether it offers C-MOVE and C-GET; else it answers queries and takes CT images, no more."""
    before_find: Callable[[], object] = lambda: None
    before_images: Callable[[], object] = lambda: None
    hang: Flag = field(default_factory=Flag)
    """Set when the test ends: whoever hangs waits for it."""
    asked: list[str] = field(default_factory=list)
    """Levels of the queries and names of the retrievals that came."""
    patient_ids: list[str] = field(default_factory=list)
    """Of the queries at study level."""


@contextmanager
def scripted_archive(script: Script, *, query_retrieve: str = "move", port: int = 0) -> Iterator[Peer]:
    """Run the PACS on loopback; the peer to configure."""
    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(Verification)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    if script.gives:
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    ae.add_requested_context(CTImageStorage)
    ae.network_timeout = ae.dimse_timeout = 60
    handlers = [
        (evt.EVT_C_FIND, _find, [script]),
        (evt.EVT_C_MOVE, _move, [script]),
        (evt.EVT_C_GET, _get, [script]),
    ]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield Peer(
            name="archive",
            ae_title="ARCHIVE",
            host="127.0.0.1",
            port=server.server_address[1],
            query_retrieve=query_retrieve,
        )
    finally:
        script.hang.set()
        server.shutdown()


def study_answer(study: Sequence[Dataset], **changes: object) -> Dataset:
    """How an honest PACS answers for a study, with changes."""
    names = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID")
    answer = _copy(study[0], (*names, "StudyDate", "StudyTime", "StudyDescription"))
    answer.QueryRetrieveLevel, answer.ModalitiesInStudy = "STUDY", "CT"
    return _change(answer, changes)


def series_answer(study: Sequence[Dataset], **changes: object) -> Dataset:
    """How an honest PACS answers for the one series of a study, with changes."""
    answer = _copy(
        study[0], ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined")
    )
    answer.QueryRetrieveLevel, answer.NumberOfSeriesRelatedInstances = "SERIES", len(study)
    return _change(answer, changes)


def _copy(dataset: Dataset, names: Sequence[str]) -> Dataset:
    copy = Dataset()
    for name in names:
        setattr(copy, name, dataset.get(name))
    return copy


def _change(answer: Dataset, changes: dict[str, object]) -> Dataset:
    for keyword, value in changes.items():
        setattr(answer, keyword, value)
    return answer


def _find(event: Event, script: Script) -> Iterator[tuple[int, Dataset | None]]:
    level = str(event.identifier.QueryRetrieveLevel)
    script.asked.append(level)
    if level == "STUDY":
        script.patient_ids.append(str(event.identifier.PatientID))
    script.before_find()
    for answer in script.studies if level == "STUDY" else script.series:
        yield 0xFF00, answer
    if script.find_status:
        yield script.find_status, None


def _move(event: Event, script: Script) -> Yielded:
    script.asked.append("MOVE")
    if script.destination is None:
        yield None, None
        return
    yield script.destination
    yield from _images(script)


def _get(event: Event, script: Script) -> Yielded:
    script.asked.append("GET")
    yield from _images(script)


def _images(script: Script) -> Yielded:
    script.before_images()
    if script.hang.is_set():
        # The test is over: nobody is there to be sent anything.
        yield 0
        return
    yield len(script.images)
    for image in script.images:
        yield 0xFF00, image
