"""An earlier study has the date that its own scanner wrote, whatever the clock of the current study says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.analysis import StudyPlan, build_analysis, build_context, used_prior
from builders.ct_series import CtSeries, chest_hu, ct_images, write_images
from builders.fake_engine import shape_engine
from builders.jobs import job
from builders.report_page import page_of, text_of
from builders.zones import local_zone
from dicom_node.job import run_job
from dicom_node.job_records import InputFile, OutcomeKind, StudySpec
from dicom_node.listen.header import read_header
from dicom_node.results.acquisition import acquisition_day
from dicom_node.results.page.charts import trend_of
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.write import write_result_set

WINTER, SUMMER = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))
LATE = datetime(2024, 1, 10, 23, 30)  # noqa: DTZ001
EARLY = datetime(2024, 7, 2, 0, 30)  # noqa: DTZ001
"""By the clocks of the scanners, which are an hour apart from winter to summer."""

PLAN = ResultPlan(sr_classes=(SrClass.COMPREHENSIVE, SrClass.BASIC_TEXT))


def texts_of(dataset: Dataset) -> str:
    """Everything that a report says in words and dates."""
    said = [str(dataset.get("TextValue") or dataset.get("Date") or "")]
    return "\n".join([*said, *map(texts_of, dataset.get("ContentSequence", ()))])


@pytest.mark.parametrize(
    ("offset", "zone"), [("+0200", WINTER), ("-0500", UTC), (None, timezone(timedelta(hours=-11)))], ids=str
)
def test_every_result_names_the_day_of_the_scanner(tmp_path: Path, offset: str | None, zone: timezone) -> None:
    """In each kind of report, though the current study is of another offset or of none, and the node elsewhere."""
    prior = replace(used_prior(), acquired_at=LATE.replace(tzinfo=zone), involvement_percent=2.0)

    def change(image: Dataset) -> None:
        if offset:
            image.TimezoneOffsetFromUTC = offset

    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=change, priors_used=(prior,)))
    with local_zone("Asia/Tokyo"):
        context = build_context(created_at=datetime(2024, 7, 2, 12, tzinfo=UTC).astimezone(), plan=PLAN)
    write_result_set(analysis, context, folder=tmp_path / "out")

    said = texts_of(pydicom.dcmread(tmp_path / "out" / "sr.dcm"))
    assert "\n20240110\n" in said
    assert "CT of 2024-01-10, " in said
    assert "Compared with: CT of 2024-01-10, " in texts_of(pydicom.dcmread(tmp_path / "out" / "sr-basic-text.dcm"))
    page = text_of(page_of(analysis, created_at=context.created_at))
    assert "since 2024-01-10" in page
    assert "Compared with 2024-01-10" in page
    assert "2024-01-09" not in page + said
    assert "2024-01-11" not in page + said


def test_the_line_ends_on_the_day_of_the_current_study(tmp_path: Path) -> None:
    """Each date is the one of its own scanner."""
    now = EARLY.replace(tzinfo=SUMMER)
    prior = replace(
        used_prior(),
        acquired_at=LATE.replace(tzinfo=WINTER),
        interval_days=(now - LATE.replace(tzinfo=WINTER)) / timedelta(days=1),
        involvement_percent=2.0,
    )
    findings = build_analysis(tmp_path, StudyPlan(priors_used=(prior,))).findings

    assert [point.day for point in trend_of(findings, "2024-07-02")] == ["2024-01-10", "2024-07-02"]
    assert [point.at for point in trend_of(findings, "2024-07-02")] == [prior.acquired_at, now]
    assert trend_of(findings, "")[-1].day


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"AcquisitionDate": "20240702", "StudyDate": "20240701"}, "2024-07-02"),
        ({"AcquisitionDate": "", "SeriesDate": "2024.07.02"}, "2024-07-02"),
        ({"AcquisitionDateTime": "20240702003000+0200"}, "2024-07-02"),
        ({"AcquisitionDateTime": "20240301235900", "SeriesDate": "20240307", "StudyDate": "20240301"}, "2024-03-01"),
        ({"AcquisitionDateTime": "yesterday", "SeriesDate": "20240307"}, "2024-03-07"),
        ({"AcquisitionDate": "20240301", "StudyDate": "20240302", "StudyTime": "101500"}, "2024-03-02"),
        ({"AcquisitionDate": "20240732"}, ""),
        ({}, ""),
    ],
)
def test_the_day_of_a_study_is_the_one_that_its_images_write(said: dict[str, str], expected: str) -> None:
    """No clock is asked; the listener keeps the study under the same day."""
    image = Dataset()
    for keyword, value in said.items():
        setattr(image, keyword, value)
    assert acquisition_day(image) == expected
    assert listed_day(image) == expected


def listed_day(image: Dataset) -> str:
    """The day under which the index has an image, as the listener reads it; empty where it reads none."""
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, "1.2.3.1"
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.0"
    encoded = BytesIO()
    dcmwrite(encoded, image, implicit_vr=False, little_endian=True, force_encoding=True)
    at = read_header(encoded.getvalue(), ExplicitVRLittleEndian).acquired_at
    return f"{at:%Y-%m-%d}" if at else ""


def _study(folder: Path, uid: str, at: datetime, **header: str) -> StudySpec:
    """A study as the index knows it: its instant, and nothing of its zone."""
    images = ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1", shape=(48, 72, 72)), chest_hu)
    for image in images:
        for keyword, value in header.items():
            setattr(image, keyword, value)
    paths = write_images(folder / uid, images)
    inputs = tuple(InputFile(path=path, sha256=sha256(path.read_bytes()).hexdigest()) for path in paths)
    return StudySpec(study_instance_uid=uid, acquired_at=at.astimezone(UTC), inputs=inputs)


@pytest.mark.parametrize(
    "header",
    [
        {"AcquisitionDate": "20240110", "AcquisitionTime": "233000", "TimezoneOffsetFromUTC": "-0700"},
        {"AcquisitionDateTime": "20240110233000-0700"},
    ],
    ids=["offset", "date and time with offset"],
)
def test_an_attempt_takes_the_zone_of_an_earlier_study_from_its_files(tmp_path: Path, header: dict[str, str]) -> None:
    """So that studies whose zone the index does not know have their own date too, on whatever machine it runs."""
    at = LATE.replace(tzinfo=timezone(timedelta(hours=-7)))
    earlier = _study(tmp_path, "1.2.9", at, **header)
    now = _study(tmp_path, "1.2.3", at + timedelta(days=9), AcquisitionDate="20240119", AcquisitionTime="233000")
    job(now, earlier).write(tmp_path)

    outcome = run_job(tmp_path, lambda _: shape_engine())

    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert "CT of 2024-01-10, 9.0 days earlier" in texts_of(pydicom.dcmread(tmp_path / "out" / "sr.dcm"))
    assert '"acquired_at": "2024-01-10T23:30:00-07:00"' in (tmp_path / "out" / "findings.json").read_text()
