"""Studies of several senders, received by a real node, that go different ways by its rules."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.uid import EncapsulatedPDFStorage, SegmentationStorage

from builders.faulty_node import FaultyNode
from builders.instances import ct_instance
from builders.node import AE_TITLE, Destination
from builders.programs import program
from builders.small_patient import SmallPatient
from builders.storescp import EXPLICIT, IMPLICIT, StoreScp, running_storescp
from dicom_node.destinations import SR_CLASS_UIDS
from storage.lifecycle import Event, State

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("storescp") is None, reason="storescp not installed: apt-get install dcmtk"),
]

RESULTS = (*SR_CLASS_UIDS.values(), str(SegmentationStorage), str(EncapsulatedPDFStorage))
TAKES = dict.fromkeys(RESULTS, (EXPLICIT, IMPLICIT))
WITHIN_S = 300
RULES = """
[[rule]]
name = "not from CT3"
run = false
reason = "phantoms of the physicists"
[rule.match]
calling_ae_title = "CT3"

[[rule]]
name = "CT1 to the PACS"
priority = "urgent"
results = { pacs = ["sr"] }
[rule.match]
calling_ae_title = "CT1"
modality = "CT"
thickest_mm = 10.0

[[rule]]
name = "CT2 to the teaching archive"
results = { teaching = ["seg", "pdf"] }
[rule.match]
calling_ae_title = "CT2"
"""


def dcmsend(node: FaultyNode, paths: Sequence[Path], *, aet: str) -> None:
    """One association of DCMTK's sender under an AE title."""
    command = [program("dcmsend", "apt-get install dcmtk"), "-aet", aet, "-aec", AE_TITLE, "127.0.0.1"]
    subprocess.run([*command, str(node.port), *map(str, paths)], check=True, timeout=120)


def destination(scp: StoreScp) -> Destination:
    """Where the node sends results."""
    return Destination(name=scp.peer.name, ae_title=scp.peer.ae_title, port=scp.peer.port)


def modalities(scp: StoreScp) -> set[str]:
    """Of what a destination got."""
    return {str(dataset.Modality) for dataset in scp.objects().values()}


def test_studies_of_different_senders_go_different_ways(tmp_path: Path, small_patient: SmallPatient) -> None:
    """One sender's report goes to one archive, another's segmentations and PDF to another, a third's is kept unread."""
    folders = [tmp_path / name for name in ("pacs", "teaching", "node")]
    for folder in folders:
        folder.mkdir()
    other = tmp_path / "other.dcm"
    ct_instance(study="1.2.3.4").save_as(other, enforce_file_format=True)
    with (
        running_storescp(folders[0], accepts=TAKES) as pacs,
        running_storescp(folders[1], accepts=TAKES, name="teaching", aet="TEACHING") as teaching,
        FaultyNode(
            folder=folders[2],
            destinations=[destination(pacs), destination(teaching)],
            parts=("listen", "work"),
            more_configuration=RULES,
        ) as node,
    ):
        dcmsend(node, [other], aet="CT3")
        dcmsend(node, small_patient.earlier.paths, aet="CT1")
        dcmsend(node, small_patient.current.paths, aet="CT2")
        first = node.wait_for(small_patient.earlier.study_instance_uid, State.DELIVERED, within_s=WITHIN_S)
        second = node.wait_for(small_patient.current.study_instance_uid, State.DELIVERED, within_s=WITHIN_S)
        unread = node.wait_for("1.2.3.4", State.SKIPPED, within_s=WITHIN_S)
        assert {one.destination for one in first.deliveries} == {"pacs"}
        assert {one.destination for one in second.deliveries} == {"teaching"}
        assert modalities(pacs) == {"SR"}
        assert modalities(teaching) == {"SEG", "DOC"}
        ruled = [entry.why for entry in first.history if entry.event is Event.RULED]
        assert ruled == ["rule CT1 to the PACS: run, urgent priority; results to pacs (sr)"]
        assert unread.reason.startswith("not run by rule not from CT3: phantoms of the physicists")
        assert unread.instance_count == 1
        assert "decides" in node.command("rules", "test", small_patient.earlier.study_instance_uid).stdout
