"""Batches of listed studies, retrieved by either service from an Orthanc that speaks by mutual TLS alone."""

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from builders.ct_series import CtSeries, ct_images
from builders.deadline import until
from builders.faulty_node import FaultyNode
from builders.node import AE_TITLE as NODE_AE_TITLE
from builders.orthanc import AE_TITLE, Orthanc
from builders.tls_archive import tls_orthanc
from builders.tls_listener import Site
from storage.batch_records import BatchState
from storage.lifecycle import State

pytestmark = pytest.mark.slow

UIDS = tuple(f"1.2.3.7.{number}" for number in range(4))
IMAGES = 20
UNKNOWN = "1.2.3.9"
DONE_WITHIN_S = 300


@pytest.fixture
def orthanc(tmp_path: Path, tls_site: Site, tls_port: int) -> Iterator[Orthanc]:
    """Four chest CTs, each with an accession number of its own."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with tls_orthanc(folder, tls_site, node_port=tls_port, node_aet=NODE_AE_TITLE) as running:
        for number, uid in enumerate(UIDS):
            store(running, uid, number)
        yield running


def store(orthanc: Orthanc, uid: str, number: int) -> None:
    """One study."""
    images = ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1", shape=(IMAGES, 32, 32), spacing_mm=(10.0, 10.0, 10.0)))
    for image in images:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.{image.InstanceNumber}"
        image.AccessionNumber, image.PatientID, image.PatientName = f"A{number}", f"P{number}", f"Name^P{number}"
        orthanc.take(image)


def configuration(orthanc: Orthanc, site: Site, *, service: str, node_port: int) -> str:
    """The TLS port of the node, and the PACS, which also receives results."""
    return f"""
[listen.tls]
enabled = true
port = {node_port}
certificate = "{site.node.certificate}"
key = "{site.node.key}"
client_ca = "{site.authority.certificate}"

[[peers]]
name = "pacs"
ae_title = "{AE_TITLE}"
host = "localhost"
port = {orthanc.dicom_port}
tls = true
tls_ca = "{site.authority.certificate}"
query_retrieve = "{service}"
receives_results = true
"""


@pytest.fixture(params=["get", "move"])
def node(
    request: pytest.FixtureRequest, orthanc: Orthanc, tls_site: Site, tls_port: int, tmp_path: Path
) -> Iterator[FaultyNode]:
    """Listener and worker."""
    more = configuration(orthanc, tls_site, service=request.param, node_port=tls_port)
    folder = tmp_path / "node"
    folder.mkdir()
    running = FaultyNode(folder=folder, parts=("listen", "work"), quiet_period_s=1.0, more_configuration=more)
    with running:
        yield running


def begin(node: FaultyNode, *arguments: str) -> str:
    """Begin a batch; what is said on stderr."""
    begun = node.command("batch", "start", "pacs", *arguments, "--json")
    assert json.loads(begun.stdout)["number"] == 1
    return begun.stderr


def is_done(node: FaultyNode) -> bool:
    """Whether the batch is over."""
    with closing(node.index()) as index:
        return index.batches.view(1).state is BatchState.DONE


def rows_of(node: FaultyNode, path: Path) -> list[dict[str, str]]:
    """The table."""
    node.command("batch", "table", "1", "--out", str(path))
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_batch_of_accession_numbers_is_delivered_where_that_is_asked_for(
    node: FaultyNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    """Of a list in a file: what it names, no other study; the results are in the PACS beside the images."""
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("# two of ours\nA2\nA0  # the oldest\nELSEWHERE\nA2\n")

    assert begin(node, f"accession_numbers={numbers}", "--deliver").splitlines() == ["not found: ELSEWHERE"]
    until(lambda: is_done(node), within_s=DONE_WITHIN_S, what="the batch is done")

    for uid in (UIDS[0], UIDS[2]):
        view = node.wait_for(uid, State.DELIVERED, within_s=DONE_WITHIN_S)
        assert (view.batch, view.instance_count) == (1, IMAGES)
        assert {"CT", "SR", "SEG"} <= orthanc.modalities(uid)
    assert [row["study_instance_uid"] for row in rows_of(node, tmp_path / "out.csv")] == [UIDS[2], UIDS[0]]
    assert node.study(UIDS[1]) is node.study(UIDS[3]) is None
    assert orthanc.modalities(UIDS[1]) == {"CT"}


def test_a_batch_of_study_uids_sends_nothing_unless_it_is_told_to(
    node: FaultyNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    """The table has them in the order of the list, each with all of its images."""
    uids = tmp_path / "uids.txt"
    uids.write_text("\n".join((UIDS[3], UNKNOWN, UIDS[1])))

    assert begin(node, f"studies={uids}").splitlines() == [f"not found: {UNKNOWN}"]
    until(lambda: is_done(node), within_s=DONE_WITHIN_S, what="the batch is done")

    rows = rows_of(node, tmp_path / "out.csv")
    assert [(row["study_instance_uid"], row["state"]) for row in rows] == [(UIDS[3], "analysed"), (UIDS[1], "analysed")]
    assert [int(row["images"]) for row in rows] == [IMAGES, IMAGES]
    for uid in (UIDS[1], UIDS[3]):
        view = node.study(uid)
        assert view is not None
        assert (view.state, view.deliveries) == (State.PROCESSED, ())
        assert orthanc.modalities(uid) == {"CT"}
