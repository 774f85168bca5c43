"""The actor as it is, with the engine for plain shapes in the place of the networks.

Files in $QUICK_ACTOR_FOLDER make trouble: `kills` and `hangs` hold Study Instance UIDs, `slow` the seconds that each study
takes longer.
"""

import os
import signal
import time
from pathlib import Path
from unittest import mock

from builders.fake_engine import shape_engine
from dicom_node.cluster.actor import AnalysisActor
from dicom_node.cluster.packs import PackBytes
from dicom_node.cluster.parcel import Payload
from dicom_node.cluster.records import Order, Reply


class QuickActor(AnalysisActor):
    """`AnalysisActor` that finds plain shapes."""

    def run(self, order: Order, payload: Payload, pack: PackBytes) -> Reply:
        """See `AnalysisActor.run`; a study that is named in a file ends the process first, another one takes its time."""
        uid = order.parcel.spec.study.study_instance_uid
        if uid in _lines("kills"):
            os.kill(os.getpid(), signal.SIGKILL)
        if uid in _lines("hangs"):
            time.sleep(600)
        time.sleep(float((_lines("slow") or ["0"])[0]))
        with mock.patch("dicom_node.job.load_model_pack"), mock.patch("dicom_node.job.build_engine", _engine):
            return super().run(order, payload, pack)


def _engine(*_: object) -> object:
    return shape_engine()


def _lines(name: str) -> list[str]:
    path = Path(os.environ.get("QUICK_ACTOR_FOLDER", "/nonexistent")) / name
    return path.read_text().split() if path.exists() else []
