"""Metrics and probes, as monitoring asks for them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from shutil import disk_usage

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, select

from builders.certificates import Authority
from builders.clock import FakeClock
from builders.index import build_index, claimed_study, database_url, received, result_files, to
from builders.web_server import Answer, web_server
from config.audit import AuditSettings
from config.settings import NodeSettings, Peer, PipelineSettings, Settings
from config.storage import StorageSettings
from dicom_node.listen.disk_floor import DiskFloor
from dicom_node.watching.endpoints import router_of
from dicom_node.watching.gpus import gpus_from, gpus_in_words, visible_gpus
from pipeline.pack_title import read_title
from storage.database import open_engine, writing
from storage.index import Index
from storage.models import Instance, Series, Study

DOCS = Path(__file__).resolve().parents[2] / "docs"
CANARY = "CANARY^PATIENT"


@pytest.fixture
def clock() -> FakeClock:
    """Stands at noon."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Iterator[Index]:
    """One study whose result waits for `pacs`."""
    made = build_index(tmp_path, clock)
    claim = claimed_study(made)
    made.finish_succeeded(claim, result_files(), destinations=to("pacs"), why="analysed")
    made.beat("listen", "127.0.0.1:11112")
    made.beat("work", gpus_in_words(2))
    yield made
    made.close()


def settings(folder: Path, **changes: object) -> Settings:
    """A node with one sender, and one destination that is called by TLS."""
    authority = Authority(folder / "ca").certificate
    peers = (
        Peer(name="ct", ae_title="CT1", host="127.0.0.1", port=104),
        Peer(
            name="pacs",
            ae_title="PACS",
            host="127.0.0.1",
            port=105,
            receives_results=True,
            storage_commitment=True,
            tls=True,
            tls_ca=authority,
        ),
    )
    return Settings(
        node=NodeSettings(data_dir=folder),
        storage=StorageSettings(free_floor_bytes=0, database_url=database_url(folder)),
        audit=AuditSettings(syslog_host="localhost"),
        peers=peers,
    ).model_copy(update=changes)


@contextmanager
def client(one: Settings | Callable[[], Settings], clock: FakeClock) -> Iterator[Callable[[str], Answer]]:
    """Asks the addresses of a node that runs for as long as the block lasts."""
    in_force = (lambda: one) if isinstance(one, Settings) else one
    app = FastAPI()
    app.include_router(router_of(in_force, open_engine(in_force().database_url), clock=clock))
    with web_server(app) as get:
        yield get


def storage_without_room(folder: Path) -> StorageSettings:
    """Of a node that refuses everything."""
    return StorageSettings(free_floor_bytes=2**62, database_url=database_url(folder))


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_the_index_has(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Objects count from the first scrape on, a stranger's among `other`."""
    with client(settings(tmp_path), clock) as get:
        get("/metrics")
        index.record_received([received("1.2.9"), replace(received("1.2.9", 2), calling_aet=CANARY)])
        clock.advance(90)
        found = samples(get("/metrics").text)
    assert found["dicom_node_studies", "processed"] == 1
    assert found["dicom_node_oldest_waiting_seconds", "processed"] == 90
    assert found["dicom_node_received_objects_total", "ct"] == 1
    assert found["dicom_node_received_bytes_total", "other"] == 1000
    assert found["dicom_node_deliveries", "pacs", "waiting"] == 1
    assert found["dicom_node_destination_up", "pacs"] == 1
    assert found["dicom_node_heartbeat_age_seconds", "", "work"] == 90
    assert found["dicom_node_gpus",] == 2
    assert found["dicom_node_disk_free_bytes",] > 0
    assert found["dicom_node_certificate_days_left", "authority", "pacs"] > 0
    assert found["dicom_node_model_pack_info", read_title(None).words] == 1


def test_the_model_pack_in_use_is_named_by_what_it_says(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Whatever its folder is called, with its hash: a pack of the package changes with a new version too."""
    folder = tmp_path / "new"
    folder.mkdir()
    text = b'{"name": "site", "version": "2", "further": []}'
    (folder / "stnet.json").write_bytes(text)
    one = settings(tmp_path, pipeline=PipelineSettings(model_pack=folder))
    with client(one, clock) as get:
        assert (
            samples(get("/metrics").text)["dicom_node_model_pack_info", f"site 2 {sha256(text).hexdigest()[:8]}"] == 1
        )
        (folder / "stnet.json").write_bytes(b"{")
        assert not [key for key in samples(get("/metrics").text) if key[0] == "dicom_node_model_pack_info"]
    del index


@pytest.mark.sqlite
def test_what_comes_after_the_newest_study_was_removed_is_counted(
    tmp_path: Path, clock: FakeClock, index: Index
) -> None:
    """Its instances give their numbers free; what came before is not counted twice."""

    def came(study: str, objects: int) -> None:
        clock.advance(1)
        index.record_received([received(study, number, received_at=clock.now()) for number in range(1, objects + 1)])

    with client(settings(tmp_path), clock) as get:
        get("/metrics")
        came("1.2.8", 4)
        came("1.2.9", 4)
        counted = [samples(get("/metrics").text)["dicom_node_received_objects_total", "ct"]]
        with writing(open_engine(database_url(tmp_path))) as connection:
            gone = select(Series.id).join(Study, Study.id == Series.study_id).where(Study.study_instance_uid == "1.2.9")
            connection.execute(delete(Instance).where(Instance.series_id.in_(gone)))
        for number, objects in enumerate((0, 3, 0, 7)):
            if objects:
                came(f"1.2.10.{number}", objects)
            counted.append(samples(get("/metrics").text)["dicom_node_received_objects_total", "ct"])
    assert counted == [8, 8, 11, 11, 18]


def test_an_outage_is_seen(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """A destination that cannot be reached."""
    index.outages.note("pacs", "down", next_try_at=clock.now())
    with client(settings(tmp_path), clock) as get:
        assert samples(get("/metrics").text)["dicom_node_destination_up", "pacs"] == 0


def test_no_patient_is_in_any_answer(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Canaries in every text of an object are nowhere."""
    texts = ("patient_name", "accession_number", "study_description", "series_description", "body_part", "calling_aet")
    with client(settings(tmp_path), clock) as get:
        get("/metrics")
        index.record_received([replace(received("1.2.77"), **dict.fromkeys(texts, CANARY))])
        answers = [get(address) for address in ("/metrics", "/health", "/ready")]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert not [answer.text for answer in answers if CANARY in answer.text or "4711" in answer.text]


def test_ready_says_what_is_missing(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """An old sign of life, a disk below the floor; alive it is all the same."""
    clock.advance(31)
    with client(
        settings(tmp_path, storage=StorageSettings(free_floor_bytes=2**62, database_url=database_url(tmp_path))), clock
    ) as get:
        answer = get("/ready")
        assert (answer.status, len(json.loads(answer.text)["problems"])) == (503, 2)
        assert get("/health").status == 200
    index.beat("listen", "")
    with client(settings(tmp_path), clock) as get:
        answer = get("/ready")
        assert (answer.status, json.loads(answer.text)) == (200, {"ready": True, "problems": []})


def test_peers_and_floor_are_those_in_force(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """Without a restart of the pages."""
    one = settings(tmp_path)
    said = [one]
    new = Peer(name="new", ae_title="NEW", host="127.0.0.1", port=105, receives_results=True)
    with client(lambda: said[-1], clock) as get:
        get("/metrics")
        said.append(one.model_copy(update={"peers": (new,), "storage": storage_without_room(tmp_path)}))
        index.record_received([replace(received("1.2.9"), calling_aet="NEW")])
        found = samples(get("/metrics").text)
        assert get("/ready").status == 503
    assert found["dicom_node_received_objects_total", "new"] == 1
    assert found["dicom_node_destination_up", "new"] == 1
    assert ("dicom_node_destination_up", "pacs") not in found


def test_node_whose_listener_refuses_associations_is_not_ready(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """From the floor and the margin on."""
    margin = StorageSettings(free_floor_bytes=1, association_margin_bytes=2**62, database_url=database_url(tmp_path))
    assert DiskFloor(margin, lambda: disk_usage(tmp_path).free).is_low()
    with client(settings(tmp_path, storage=margin), clock) as get:
        assert get("/ready").status == 503


@pytest.mark.sqlite
def test_lost_index_is_told_not_raised(tmp_path: Path, clock: FakeClock) -> None:
    """Metrics of the machine go on; it is not ready."""
    with client(settings(tmp_path), clock) as get:
        found = samples(get("/metrics").text)
        assert get("/ready").status == 503
    assert found["dicom_node_index_up",] == 0
    assert ("dicom_node_disk_free_bytes",) in found


def exported(tmp_path: Path, clock: FakeClock) -> set[str]:
    """Names of the metrics of a node, also of those without a sample now."""
    with client(settings(tmp_path), clock) as get:
        return set(re.findall(r"^# TYPE (\S+)", get("/metrics").text, re.MULTILINE))


def test_dashboard_asks_only_for_metrics_that_there_are(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """And shows each of them, which docs/watching.md describes."""
    panels = json.loads((DOCS / "grafana-dashboard.json").read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"dicom_node_\w+", target["expr"])
    }
    names = exported(tmp_path, clock)
    assert len(asked) > 10
    assert asked <= names
    described = set(re.findall(r"`(dicom_node_\w+)`", (DOCS / "watching.md").read_text()))
    assert described == asked == names


def test_gpus_are_counted_by_their_devices(tmp_path: Path) -> None:
    """Control devices are none."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus(tmp_path) == 2
    assert (gpus_from(gpus_in_words(2)), gpus_from("")) == (2, None)
