"""An actor of a machine that was not brought up to date."""

from dataclasses import replace

from dicom_node.cluster.actor import AnalysisActor
from dicom_node.cluster.records import ActorFacts


class OtherVersionActor(AnalysisActor):
    """`AnalysisActor` of another version."""

    def facts(self) -> ActorFacts:
        """See `AnalysisActor.facts`."""
        facts = super().facts()
        return replace(facts, versions={**facts.versions, "dicom-node": "0.0.1"})
