"""Seconds from the last acknowledged image to the start of the pipeline.

    python tests/benchmarks/completion_delay.py --studies 5

Sends studies of 32 axial slices to a node that looks at evidence and to one that has the quiet period alone, both with the
default times, and to an Orthanc with its default StableAge, all in the same run. mercure's figure is what its documentation
says, not a measurement. The last line is one JSON object; times are seconds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydicom.dataset import Dataset

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import send
from builders.node import AE_TITLE, NodeProcess
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import Orthanc, running_orthanc
from storage.lifecycle import Event

SLICES = 32
WITHIN_S = 200
QUIET_PERIOD_S = 60.0
SWEEP_INTERVAL_S = 1.0
MERCURE_S = 60 + 900
"""Series, then study inactivity, as mercure's documentation gives its defaults ("Rules", "series trigger", "study trigger")."""


def build_study() -> list[Dataset]:
    """A new study of one axial series."""
    study = f"2.25.{uuid4().int}"
    placed = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1], "PatientID": study[-16:]}
    return [
        ct_instance(number, study=study, ImagePositionPatient=[0, 0, 1.25 * number], **placed)
        for number in range(1, SLICES + 1)
    ]


def send_study(port: int, images: list[Dataset], called_aet: str) -> datetime:
    """Send in one association; when the last image was acknowledged, to the length of its release."""
    statuses = send(port, *images[:-1], called_aet=called_aet, calling_aet="CT1")
    assert set(statuses) == {0}, statuses
    assert send(port, images[-1], called_aet=called_aet, calling_aet="CT1") == [0]
    return datetime.now(UTC)


def started_at(node: NodeProcess, study: str) -> datetime:
    """When a worker took the study."""

    def look() -> datetime | None:
        view = node.study(study)
        return next((one.at for one in view.history if one.event is Event.CLAIMED), None) if view else None

    return until(look, within_s=WITHIN_S, what="the pipeline starts")


def ended(node: NodeProcess, study: str) -> bool:
    """Whether the worker is free again."""
    view = node.study(study)
    return bool(view) and view.state.value not in {"receiving", "waiting_for_priors", "ready", "processing"}


def measure(node: NodeProcess, studies: int) -> tuple[list[float], str]:
    """The delay of each study, one after the other, and the reason of the last."""
    delays = []
    for _ in range(studies):
        images = build_study()
        study = str(images[0].StudyInstanceUID)
        sent_at = send_study(node.port, images, AE_TITLE)
        delays.append((started_at(node, study) - sent_at).total_seconds())
        until(lambda study=study: ended(node, study), within_s=WITHIN_S, what="the worker is free")
    view = node.study(study)
    assert view is not None
    return delays, next(one.why for one in view.history if one.event is Event.COMPLETED)


def stable_at(orthanc: Orthanc) -> datetime:
    """When Orthanc's log of changes has a stable study (REST, /changes)."""

    def look() -> datetime | None:
        changes: list[dict[str, Any]] = json.loads(orthanc.get("/changes?since=0&limit=1000"))["Changes"]
        is_there = any(change["ChangeType"] == "StableStudy" for change in changes)
        return datetime.now(UTC) if is_there else None

    return until(look, within_s=WITHIN_S, what="Orthanc calls the study stable")


def main() -> None:
    """Measure all three, print them beside each other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=5, help="sent to the node with evidence")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("evidence", "timer", "orthanc"):
            (folder / name).mkdir()
        times = {"quiet_period_s": QUIET_PERIOD_S, "sweep_interval_s": SWEEP_INTERVAL_S}
        orthanc = stack.enter_context(running_orthanc(folder / "orthanc"))
        quick = stack.enter_context(NodeProcess(folder=folder / "evidence", **times, by_interpreter=True))
        slow = stack.enter_context(NodeProcess(folder=folder / "timer", evidence=False, **times, by_interpreter=True))
        orthanc_sent_at = send_study(orthanc.dicom_port, build_study(), ORTHANC_AE_TITLE)
        by_timer = build_study()
        timer_sent_at = send_study(slow.port, by_timer, AE_TITLE)
        stable = stack.enter_context(ThreadPoolExecutor(1)).submit(stable_at, orthanc)
        delays, reason = measure(quick, arguments.studies)
        orthanc_s = (stable.result() - orthanc_sent_at).total_seconds()
        timer_s = (started_at(slow, str(by_timer[0].StudyInstanceUID)) - timer_sent_at).total_seconds()
    result = {
        "studies": len(delays),
        "evidence_median_s": round(statistics.median(delays), 2),
        "evidence_maximum_s": round(max(delays), 2),
        "evidence_reason": reason,
        "timer_alone_s": round(timer_s, 2),
        "orthanc_stable_age_s": round(orthanc_s, 2),
        "mercure_documented_s": MERCURE_S,
    }
    sys.stdout.write(
        f"two pieces of evidence   {result['evidence_median_s']:7.1f} s (at most {result['evidence_maximum_s']:.1f} s)\n"
        f"quiet period alone       {timer_s:7.1f} s\n"
        f"Orthanc, StableAge       {orthanc_s:7.1f} s\n"
        f"mercure, documented      {MERCURE_S:7.1f} s (not measured)\n{json.dumps(result)}\n"
    )


if __name__ == "__main__":
    main()
