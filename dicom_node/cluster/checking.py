"""What `dicom-node check` says about the cluster."""

from collections.abc import Iterator
from dataclasses import dataclass

from config.settings import Settings
from dicom_node.cluster.errors import MissingRayError
from dicom_node.cluster.library import is_ray_installed
from dicom_node.cluster.places import room_in
from dicom_node.cluster.probe import Probe, ProbedNode, probe_cluster
from dicom_node.cluster.security import open_cluster_warning
from dicom_node.cluster.versions import DISTRIBUTION, differences, own_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFinding:
    """One sentence about the cluster."""

    subject: str
    words: str
    is_failure: bool = False
    is_warning: bool = False


def check_cluster(settings: Settings) -> Iterator[ClusterFinding]:
    """Whether the cluster can be used; nothing where the node analyses by itself."""
    if settings.pipeline.engine != "ray":
        return
    if not is_ray_installed():
        yield ClusterFinding(subject="Ray cluster", words=MissingRayError().reason, is_failure=True)
        return
    yield from findings_of(probe_cluster(settings.ray), settings)
    warning = open_cluster_warning(settings.ray)
    if warning:
        yield ClusterFinding(subject="Ray cluster, security", words=warning, is_warning=True)


def findings_of(probe: Probe, settings: Settings) -> Iterator[ClusterFinding]:
    """What a probe means."""
    if probe.problem:
        yield ClusterFinding(subject="Ray cluster", words=probe.problem, is_failure=True)
        return
    room = room_in([one.node for one in probe.nodes], settings.ray, device=settings.pipeline.device.partition(":")[0])
    words = room.problem or f"{settings.ray.address}, {len(probe.nodes)} machines, room for {room.count} actors"
    yield ClusterFinding(subject="Ray cluster", words=words, is_failure=bool(room.problem))
    for one in probe.nodes:
        finding = _node_finding(one)
        if finding:
            yield finding


def _node_finding(probed: ProbedNode) -> ClusterFinding | None:
    """What is wrong with the software of a machine."""
    subject = f"Ray cluster, {probed.node.address}"
    if not probed.versions.get(DISTRIBUTION):
        words = "dicom-node is not installed in the Python that runs Ray there, or it did not answer"
        return ClusterFinding(subject=subject, words=words, is_failure=True)
    own = own_versions()
    different = differences(own, probed.versions)
    if not different:
        return None
    is_other_node = own[DISTRIBUTION] != probed.versions[DISTRIBUTION]
    words = f"{different}: results may differ in their bytes; install the same there"
    return ClusterFinding(subject=subject, words=words, is_failure=is_other_node, is_warning=not is_other_node)
