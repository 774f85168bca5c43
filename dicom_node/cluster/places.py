"""How many actors a cluster has room for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from config.ray import RaySettings
from dicom_node.cluster.state import ClusterNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What to start."""

    count: int
    device: str
    """cpu or cuda."""
    problem: str = ""
    """Why it is none."""


def cluster_nodes(raw: Iterable[Mapping[str, Any]]) -> dict[str, ClusterNode]:
    """The machines that are up, by Ray's ID of them, from `ray.nodes()`."""
    return {
        node["NodeID"]: ClusterNode(
            address=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            object_store_bytes=int(node["Resources"].get("object_store_memory", 0)),
        )
        for node in raw
        if node["Alive"]
    }


def room_in(nodes: Iterable[ClusterNode], settings: RaySettings, *, device: str) -> Room:
    """One actor for each GPU; where there is none, or the site wants the CPU, one for each share of a node's CPUs.

    Args:
        nodes: Of the cluster.
        settings: Of the node.
        device: auto, cpu or cuda.
    """
    machines = tuple(nodes)
    gpus = sum(int(node.gpus) for node in machines)
    if device == "cuda" or (device == "auto" and gpus):
        problem = "no machine of the Ray cluster has a GPU: add one, or set [pipeline].device"
        return Room(count=_limited(gpus, settings), device="cuda", problem="" if gpus else problem)
    shares = sum(int(node.cpus) // settings.cpus_per_actor for node in machines)
    problem = f"no machine of the Ray cluster has {settings.cpus_per_actor} CPUs: lower [ray].cpus_per_actor"
    return Room(count=_limited(shares, settings), device="cpu", problem="" if shares else problem)


def _limited(count: int, settings: RaySettings) -> int:
    return min(count, settings.maximum_actors or count)
