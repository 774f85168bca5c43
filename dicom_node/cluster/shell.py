"""The class that Ray starts on a machine of the cluster; the driver knows it and loads no torch."""

from importlib import import_module
from typing import Any

from dicom_node.cluster.packs import PackBytes
from dicom_node.cluster.parcel import Payload
from dicom_node.cluster.records import ActorFacts, ActorPlan, Order, Reply
from dicom_node.job_records import JobProgress


class ActorShell:
    """An actor that loads what it is only where it runs."""

    def __init__(self, name: str, plan: ActorPlan) -> None:
        """Load it.

        Args:
            name: `module:class`, of `AnalysisActor` or of what stands in its place.
            plan: For it.
        """
        module, _, class_name = name.partition(":")
        self._actor: Any = getattr(import_module(module), class_name)(plan)

    def facts(self) -> ActorFacts:
        """See `AnalysisActor.facts`."""
        return self._actor.facts()  # type: ignore[no-any-return]  # of a class that is named only at run time

    def progress(self) -> JobProgress | None:
        """See `AnalysisActor.progress`."""
        return self._actor.progress()  # type: ignore[no-any-return]  # the same

    def run(self, order: Order, payload: Payload, pack: PackBytes) -> Reply:
        """See `AnalysisActor.run`."""
        return self._actor.run(order, payload, pack)  # type: ignore[no-any-return]  # the same
