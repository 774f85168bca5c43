"""The cluster in words, for people who look at the status of a node."""

from collections.abc import Iterator
from datetime import datetime

from config.settings import Settings
from dicom_node.cluster.library import is_ray_installed
from dicom_node.cluster.security import open_cluster_warning
from dicom_node.cluster.state import ClusterActor, ClusterState

CLUSTER = "Ray cluster"
"""How the subject of each of its alerts begins."""

_SILENT_AFTER_S = 30.0
"""The driver leaves word every two seconds."""


def cluster_state(settings: Settings) -> ClusterState | None:
    """What the driver last saw; None where the node analyses by itself, or no driver ever ran."""
    return ClusterState.read(settings.data_dir) if settings.pipeline.engine == "ray" else None


def cluster_alerts(settings: Settings, state: ClusterState | None, *, now: datetime) -> Iterator[tuple[str, str]]:
    """Subject and sentence of what an administrator should look at."""
    if settings.pipeline.engine != "ray":
        return
    trouble = cluster_trouble(state, now=now)
    if not is_ray_installed():
        trouble = "the extra `ray` is not installed: pip install '.[ray]' in the clone"
    if trouble:
        yield CLUSTER, f"Ray cluster: no study is analysed: {trouble}"
    warning = open_cluster_warning(settings.ray)
    if warning:
        yield f"{CLUSTER} without TLS", warning


def cluster_trouble(state: ClusterState | None, *, now: datetime) -> str:
    """Why nothing is analysed; empty when something can be."""
    if state is None:
        return "the worker never connected to it: is it running?"
    silent_s = (now - state.at).total_seconds()
    if silent_s > _SILENT_AFTER_S:
        return f"the worker has not seen it for {silent_s:.0f} s: is it running?"
    if any(actor.doing != "starting" for actor in state.actors):
        return ""
    return state.problem or "its actors are starting"


def cluster_lines(state: ClusterState) -> list[str]:
    """Machines and actors, a line each."""
    heading = f"Ray cluster {state.address}: {len(state.nodes)} machines, {len(state.actors)} actors"
    problem = [f"  {state.problem}"] if state.problem else []
    nodes = [f"  machine {node.address}: {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in state.nodes]
    return [heading, *problem, *nodes, *(f"  {actor_in_words(actor)}" for actor in state.actors)]


def actor_in_words(actor: ClusterActor) -> str:
    """What one actor does."""
    where = f"actor on {actor.node}, {actor.device}" if actor.node else f"actor, {actor.device}"
    stage = f", {actor.stage} {actor.fraction:.0%}" if actor.stage else ""
    return f"{where}: {actor.doing}{stage}"
