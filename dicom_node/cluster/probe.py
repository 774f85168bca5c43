"""Looks at a cluster from a process of its own: Ray prints where it likes, and may wait for ever.

Run as `python -m dicom_node.cluster.probe FILE`, with the settings as JSON on stdin; what was found is in the file.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from config.ray import RaySettings
from dicom_node.cluster.abort import socket_problem
from dicom_node.cluster.connect import connect
from dicom_node.cluster.errors import ClusterError
from dicom_node.cluster.library import ray_environment
from dicom_node.cluster.places import cluster_nodes
from dicom_node.cluster.state import ClusterNode
from dicom_node.cluster.versions import own_versions

_TIME_LIMIT_S = 60.0
_NODE_ANSWERS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedNode:
    """A machine of the cluster."""

    node: ClusterNode
    versions: dict[str, str]
    """By name of the software; empty where it did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found."""

    problem: str
    """Why there is no connection; empty where there is one."""
    nodes: tuple[ProbedNode, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What a probe left; None where it left nothing."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None


def probe_cluster(settings: RaySettings) -> Probe:
    """Connect, ask every machine for its software."""
    with tempfile.NamedTemporaryFile(suffix=".json") as answer:
        command = [sys.executable, "-m", "dicom_node.cluster.probe", answer.name]
        try:
            done = subprocess.run(
                command,
                input=settings.model_dump_json().encode(),
                env={**os.environ, **ray_environment(settings)},
                capture_output=True,
                timeout=_TIME_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Probe(problem=f"the Ray cluster at {settings.address} did not answer within {_TIME_LIMIT_S:g} s")
        aborted = socket_problem(done.stderr.decode(errors="replace"))
        nothing = Probe(problem=aborted or f"the Ray cluster at {settings.address} broke the connection")
        return Probe.read(Path(answer.name)) or nothing


def _probe(settings: RaySettings) -> Probe:
    try:
        ray = connect(settings)
    except ClusterError as error:
        return Probe(problem=error.reason)
    nodes = cluster_nodes(ray.nodes())
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    ask = ray.remote(num_cpus=0, max_retries=0)(own_versions)
    asked = {
        ask.options(scheduling_strategy=strategy(node_id, soft=False)).remote(): node for node_id, node in nodes.items()
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_NODE_ANSWERS_WITHIN_S)
    return Probe(
        problem="",
        nodes=tuple(
            ProbedNode(node=node, versions=_versions(ray, answer) if answer in answered else {})
            for answer, node in asked.items()
        ),
    )


def _versions(ray: Any, answer: Any) -> dict[str, str]:
    try:
        versions: dict[str, str] = ray.get(answer)
    except ray.exceptions.RayError:
        return {}
    return versions


def main() -> None:
    """Probe with the settings from stdin, leave the answer in the file named on the command line."""
    settings = RaySettings.model_validate_json(sys.stdin.read())
    Path(sys.argv[1]).write_bytes(TypeAdapter(Probe).dump_json(_probe(settings)))
    # Ray's own end may wait for a cluster that is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
