"""A study is shown as acquired by the clock of its scanner: its day is the one on the screens of the site."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from builders.analysis import STUDY_UID
from builders.clock import FakeClock
from builders.index import JANE, build_index, database_url, received, view_of
from builders.instances import ct_instance
from builders.site import add_finished_study, pages_in
from builders.zones import local_zone
from dicom_node.cli.app import app
from dicom_node.folders import by_own_clock, find_studies
from dicom_node.web.words import acquired
from storage.database import open_engine, writing
from storage.index import Index
from storage.migrations import migrate
from storage.patient_index import PatientIndex
from storage.study_lists import StudyLists, StudyQuery

BERLIN, TOKYO = timezone(timedelta(hours=2)), timezone(timedelta(hours=9))
AFTER_MIDNIGHT = datetime(2026, 7, 2, 0, 30, tzinfo=BERLIN)
SHOWN = "2026-07-02 00:30"

on_each_engine = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty index."""
    return build_index(tmp_path, FakeClock())


def shown(index: Index) -> str:
    """What the pages say."""
    return acquired(view_of(index).acquired_at)


@on_each_engine
def test_the_clock_is_that_of_the_earliest_ct_image(index: Index) -> None:
    """However the instances come; another kind of object counts until there is a CT image."""
    report = received(
        number=9,
        modality="SR",
        series_instance_uid="1.2.3.9",
        acquired_at=(AFTER_MIDNIGHT - timedelta(days=1)).astimezone(TOKYO),
    )
    first, second = [
        received(number=number, acquired_at=(AFTER_MIDNIGHT + number * timedelta(minutes=1)).astimezone(UTC))
        for number in (1, 2)
    ]
    index.record_received([report])
    assert shown(index) == "2026-07-01 07:30"
    index.record_received([first])
    assert shown(index) == "2026-07-01 22:31"
    index.record_received([received(number=3, acquired_at=AFTER_MIDNIGHT)])
    index.record_received([second, received(number=4, acquired_at=None)])
    index.record_received([received(number=5, acquired_at=AFTER_MIDNIGHT.astimezone(TOKYO))])
    assert shown(index) == SHOWN
    assert view_of(index).acquired_at == AFTER_MIDNIGHT


@on_each_engine
def test_every_list_shows_the_same(index: Index, tmp_path: Path) -> None:
    """Studies, lines of the pages, those of a patient, earlier studies."""
    index.record_received([received(acquired_at=AFTER_MIDNIGHT)])
    index.record_received([received("1.2.4", acquired_at=AFTER_MIDNIGHT + timedelta(days=9))])
    engine = open_engine(database_url(tmp_path))
    patients = PatientIndex(engine, now=FakeClock().now, by="admin")
    lists = (
        StudyLists(engine).page(StudyQuery()).lines,
        index.find_studies(state=None, text="", limit=9),
        patients.patient(JANE).studies,
        index.prior_candidates("1.2.4", maximum_age_days=10),
    )
    for studies in lists:
        assert [acquired(one.acquired_at) for one in studies if one.study_instance_uid == "1.2.3"] == [SHOWN]
    engine.dispose()


def test_a_scanner_that_names_no_offset_is_shown_as_it_says(index: Index) -> None:
    """Its times are kept as if they were UTC, wherever the node is."""
    with local_zone("Asia/Tokyo"):
        index.record_received([received(acquired_at=datetime(2026, 7, 2, 0, 30, tzinfo=UTC))])
        assert shown(index) == SHOWN


def test_studies_of_before_are_shown_by_utc(tmp_path: Path) -> None:
    """The index did not keep what their images name."""
    build_index(tmp_path, FakeClock()).record_received([received(acquired_at=AFTER_MIDNIGHT)])
    engine = open_engine(database_url(tmp_path))
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE study DROP COLUMN acquired_offset_minutes"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0017'"))
    engine.dispose()

    migrate(database_url(tmp_path))

    assert shown(build_index(tmp_path, FakeClock())) == "2026-07-01 22:30"


def test_the_commands_say_whose_clock_it_is(index: Index, tmp_path: Path) -> None:
    """In the list, of one study, and with the offset in JSON."""
    index.record_received([received(acquired_at=AFTER_MIDNIGHT)])
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')

    listed, one, as_json = [
        CliRunner().invoke(app, ["--config", str(config), "study", *arguments]).stdout
        for arguments in (("list",), ("show", "1.2.3"), ("show", "1.2.3", "--json"))
    ]

    assert SHOWN in listed
    assert f"acquired     {SHOWN}:00 by the clock of the scanner" in one
    assert json.loads(as_json)["acquired_at"] == "2026-07-02T00:30:00+02:00"


def test_the_pages_show_the_day_of_the_scanner(tmp_path: Path) -> None:
    """In the list, of the study, and below the line over time."""
    with pages_in(tmp_path) as pages:
        add_finished_study(pages)
        with writing(pages.site.engine) as connection:
            at = int(AFTER_MIDNIGHT.timestamp()) * 1_000_000
            values = f"acquired_at = {at}, ct_acquired_at = {at}, acquired_offset_minutes = 120"
            connection.execute(text(f"UPDATE study SET {values}"))
        for path in ("/studies", f"/studies/{STUDY_UID}"):
            page = pages.browser().get(path).text
            assert SHOWN in page
            assert "those of acquisition by that of the scanner" in page


def test_studies_in_folders_have_the_clock_of_their_scanner(tmp_path: Path) -> None:
    """`infer` and the demo name them so; an instant that is known is brought to it, whatever the order of the files."""
    own = {"AcquisitionDate": "20260702", "TimezoneOffsetFromUTC": "+0200"}
    for number, header in enumerate(({"AcquisitionTime": "003100"}, {"AcquisitionTime": "003000"})):
        ct_instance(number, **own, **header).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)

    (study,) = find_studies([tmp_path]).studies

    assert acquired(study.files.acquired_at) == SHOWN
    for paths in (study.files.paths, study.files.paths[::-1]):
        assert acquired(by_own_clock(AFTER_MIDNIGHT.astimezone(UTC), paths)) == SHOWN
    assert by_own_clock(AFTER_MIDNIGHT.astimezone(UTC), []).utcoffset() == timedelta()
