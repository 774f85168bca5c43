"""An index on a real engine, and the instances that tests put into it."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from builders.clock import FakeClock
from builders.engines import server_url
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import Event, State
from storage.migrations import migrate
from storage.records import Alternative, Claim, Destination, PatientKey, ReceivedInstance, ResultFile, Role, StudyView

NOON = FakeClock().now()
JANE = PatientKey(patient_id="4711", issuer="CITY")
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def database_url(folder: Path) -> str:
    """Of the index that belongs to the folder: a file in it, or its database on the server that the test runs on."""
    return server_url(folder) or f"sqlite:///{folder}/index.sqlite"


def build_index(folder: Path, clock: FakeClock) -> Index:
    """The index in the folder; an empty one if there is none."""
    database = folder / "index.sqlite"
    if not server_url(folder) and not database.exists():
        database.write_bytes(_empty_database())
    return Index(open_engine(database_url(folder)), now=clock.now)


@cache
def _empty_database() -> bytes:
    """The file of an index that was just made; made once, since Alembic takes its time."""
    with TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/index.sqlite")
        return (Path(folder) / "index.sqlite").read_bytes()


def received(study: str = "1.2.3", number: int = 1, *, content: str = "", **changes: object) -> ReceivedInstance:
    """A CT instance of Jane's; each number is another instance, each content other bytes."""
    sop_instance_uid = f"{study}.1.{number}"
    digest = sha256(f"{sop_instance_uid} {content}".encode()).hexdigest()
    instance = ReceivedInstance(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=CT_IMAGE,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        patient=JANE,
        patient_name="Doe^Jane",
        birth_date="19500102",
        sex="F",
        accession_number="A1",
        study_description="Chest",
        series_description="Lung 1.0",
        modality="CT",
        body_part="CHEST",
        instance_number=number,
        acquired_at=NOON - timedelta(hours=1),
        sha256=digest,
        size_bytes=1000,
        relative_path=f"objects/{digest[:2]}/{digest}.dcm",
        calling_aet="CT1",
        called_aet="DICOMNODE",
        received_at=NOON,
    )
    return replace(instance, **changes)


def view_of(index: Index, study: str = "1.2.3") -> StudyView:
    """The study as people see it."""
    view = index.study(study)
    assert view is not None
    return view


def state_of(index: Index, study: str = "1.2.3") -> State:
    """Where the study stands."""
    return view_of(index, study).state


def make_ready(index: Index, study: str = "1.2.3") -> None:
    """Bring a study that is being received up to the worker."""
    index.apply(study, Event.COMPLETED, why="quiet")
    index.apply(study, Event.PRIORS_SETTLED, why="none")


def claim(index: Index, *, lease_s: float = 60) -> Claim:
    """Take the study that is ready."""
    taken = index.claim_next(owner="worker", lease_s=lease_s)
    assert taken is not None
    return taken


def claimed_study(index: Index, study: str = "1.2.3") -> Claim:
    """A study of one instance in the hands of a worker."""
    index.record_received([received(study)])
    make_ready(index, study)
    return claim(index)


def to(*names: str) -> tuple[Destination, ...]:
    """Destinations that get every DICOM object."""
    return tuple(Destination(name=name) for name in names)


def result_files(uid: str = "2.25.1") -> tuple[ResultFile, ...]:
    """A report and a file that is not DICOM."""
    findings = ResultFile(kind="findings", path=Path("/data/results/r1/findings.json"), sha256="1" * 64)
    return (dicom_file("sr", SR, uid), findings)


def whole_result(uid: str = "2.25.1") -> tuple[ResultFile, ...]:
    """Two reports, two segmentations, two captures, a PDF and a file that is not DICOM; instances are `uid`.1 to .7."""
    kinds = [
        ("sr", ENHANCED_SR),
        ("sr", SR),
        ("seg-lungs", SEG),
        ("seg-lesions", SEG),
        ("capture", SECONDARY_CAPTURE),
        ("capture", SECONDARY_CAPTURE),
        ("pdf", PDF),
    ]
    made = [dicom_file(kind, class_uid, f"{uid}.{number}") for number, (kind, class_uid) in enumerate(kinds, start=1)]
    return (*made, result_files()[1])


def dicom_file(kind: str, sop_class_uid: str, sop_instance_uid: str) -> ResultFile:
    """A DICOM object of a result that is nowhere on disk."""
    return ResultFile(
        kind=kind,
        path=Path(f"/data/results/r1/{kind}.dcm"),
        sha256="0" * 64,
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )


def choosy(*names: str, covered_by: str = "") -> tuple[Destination, ...]:
    """Destinations that get the first report and the segmentations, else the next report and the capture."""
    report = Role(
        name="report",
        alternatives=tuple(Alternative(kinds=("sr",), sop_class_uid=uid) for uid in (SR, ENHANCED_SR)),
    )
    seg = Alternative(kinds=("seg-lungs", "seg-lesions"), sop_class_uid=SEG)
    capture = Alternative(kinds=("capture",), sop_class_uid=SECONDARY_CAPTURE)
    alternatives = (seg,) if covered_by else (seg, capture)
    roles = [report, Role(name="segmentations", alternatives=alternatives, covered_by=covered_by)]
    if covered_by:
        roles.append(Role(name=covered_by, alternatives=(capture,)))
    return tuple(Destination(name=name, roles=tuple(roles)) for name in names)
