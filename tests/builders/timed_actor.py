"""The actor as it is, whose log ends with the seconds that the job itself took."""

import time
from dataclasses import replace
from unittest import mock

from dicom_node.cluster.actor import AnalysisActor
from dicom_node.cluster.packs import PackBytes
from dicom_node.cluster.parcel import Payload
from dicom_node.cluster.records import Order, Reply
from dicom_node.job import finish_job


class TimedActor(AnalysisActor):
    """`AnalysisActor` that times `finish_job`: the part that a local process does too."""

    def run(self, order: Order, payload: Payload, pack: PackBytes) -> Reply:
        """See `AnalysisActor.run`."""
        seconds: list[float] = []

        def timed(*arguments: object) -> object:
            began_s = time.monotonic()
            outcome = finish_job(*arguments)
            seconds.append(time.monotonic() - began_s)
            return outcome

        with mock.patch("dicom_node.cluster.actor.finish_job", timed):
            reply = super().run(order, payload, pack)
        return replace(reply, log=reply.log + f"\njob_s {seconds[0]}".encode())
