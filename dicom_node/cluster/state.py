"""How the cluster is, as its driver last saw it: left in a file, so that `status` and the pages need no Ray."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

_NAME = "ray.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A machine of the cluster that is up."""

    address: str
    cpus: float
    gpus: float
    object_store_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterActor:
    """A process that analyses studies."""

    node: str
    """Address of its machine; empty until it is up."""
    device: str
    """cpu or cuda."""
    doing: str
    """starting, idle or the number of its attempt."""
    stage: str
    """Of the attempt."""
    fraction: float
    """0..1 of the attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """The cluster at one instant."""

    at: datetime
    address: str
    problem: str
    """What keeps studies from being analysed, and what to do; empty when nothing does."""
    nodes: tuple[ClusterNode, ...] = ()
    actors: tuple[ClusterActor, ...] = ()
    bytes_in_flight: int = 0
    """Of studies that are in the cluster's memory."""

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """What the driver left; None where none ever ran."""
        try:
            return TypeAdapter(cls).validate_json((data_dir / _NAME).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, data_dir: Path) -> None:
        """Leave it, whole or not at all."""
        part = data_dir / f".{_NAME}.part"
        part.write_bytes(TypeAdapter(ClusterState).dump_json(self, indent=1))
        part.replace(data_dir / _NAME)
