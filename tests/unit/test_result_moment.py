"""Results are dated by the clock on the wall, as the images are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pydicom
import pytest
from pydicom import Dataset

from builders.analysis import StudyPlan, build_analysis, build_context
from builders.clock import FakeClock
from builders.index import build_index, make_ready, received
from builders.jobs import job
from builders.report_page import page_of, text_of
from builders.zones import local_zone
from config.settings import NodeSettings, Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.infer import context_of
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind, StudySpec
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.uids import result_uids
from dicom_node.results.write import write_result_set
from storage.files import ResultStore

MADE_AT = datetime(2024, 3, 4, 23, 35, tzinfo=UTC)
"""08:35 of the next day in Tokyo."""


def morning_in_tokyo(image: Dataset) -> None:
    """A scanner that says no Timezone Offset From UTC, as nearly all do."""
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20240305"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "083000"


class SpecKeeper:
    """An engine that keeps what it was to do."""

    spec: JobSpec | None = None

    def run(self, spec: JobSpec, folder: Path, **_: object) -> JobOutcome:
        """Take the job as the process of an attempt would: from its folder, on a machine of another zone."""
        spec.write(folder)
        with local_zone("America/New_York"):
            self.spec = JobSpec.read(folder)
        return JobOutcome(kind=OutcomeKind.FAILED, reason="kept")

    def follow(self, settings: Settings) -> None:
        """Nothing to follow."""

    def close(self) -> None:
        """Nothing to end."""


def test_the_worker_dates_a_result_in_its_own_zone_wherever_it_is_made(tmp_path: Path) -> None:
    """The zone travels in the job."""
    clock, keeper = FakeClock(), SpecKeeper()
    index = build_index(tmp_path, clock)
    index.record_received([received()])
    make_ready(index, "1.2.3")
    settings = Settings(node=NodeSettings(data_dir=tmp_path))

    with local_zone("Asia/Tokyo"):
        Dispatcher(settings, index, results=ResultStore(tmp_path), engine=keeper).run_next(Event())

    assert keeper.spec is not None
    assert keeper.spec.created_at == clock.now()
    assert keeper.spec.created_at.utcoffset() == timedelta(hours=9)


def test_a_job_keeps_the_zone_of_the_node(tmp_path: Path) -> None:
    """As JSON in its folder."""
    with local_zone("Asia/Tokyo"):
        replace(
            job(StudySpec(study_instance_uid="1", acquired_at=None, inputs=())), created_at=MADE_AT.astimezone()
        ).write(tmp_path)

    assert f"{JobSpec.read(tmp_path).created_at:%Y%m%d %H%M%S}" == "20240305 083500"


def test_infer_dates_a_result_in_the_zone_of_the_machine() -> None:
    """As the worker does."""
    with local_zone("Asia/Tokyo"):
        context = context_of(Settings(), at=MADE_AT)

    assert f"{context.created_at:%Y%m%d %H%M%S}" == "20240305 083500"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
def test_no_object_is_dated_before_its_images(tmp_path: Path, zone: str) -> None:
    """Nor on another day, where the scanner says no zone: five minutes after the images, in every object and on the page."""
    acquired = datetime(2024, 3, 5, 8, 30)  # noqa: DTZ001
    with local_zone(zone):
        created_at = (acquired.astimezone() + timedelta(minutes=5)).astimezone()
    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=morning_in_tokyo))
    plan = ResultPlan(sr_classes=tuple(SrClass), capture=True, presentation_state=True, key_objects=True)
    context = build_context(created_at=created_at, plan=plan)
    for file in write_result_set(analysis, context, folder=tmp_path / "out"):
        if file.sop_class_uid:
            made = pydicom.dcmread(file.path)
            moments = {made.SeriesDate + made.SeriesTime, made.InstanceCreationDate + made.InstanceCreationTime}
            moments.add(made.get("ContentDate", made.SeriesDate) + made.get("ContentTime", made.SeriesTime))
            moments.add(made.ContributingEquipmentSequence[-1].ContributionDateTime)
            assert moments == {"20240305083500.000000"}
            assert "TimezoneOffsetFromUTC" not in made
    assert "on 2024-03-05 at 08:35" in text_of(page_of(analysis, created_at=created_at))


def test_the_zone_of_the_node_gives_no_other_uids(tmp_path: Path) -> None:
    """The same findings are the same objects."""
    findings = build_analysis(tmp_path).findings
    with local_zone("Asia/Tokyo"):
        context = build_context(created_at=MADE_AT.astimezone())

    assert result_uids(findings, context) == result_uids(findings, build_context(created_at=MADE_AT))
