"""What driver and actors say to each other."""

from dataclasses import dataclass

from dicom_node.cluster.parcel import Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorPlan:
    """What an actor is told once."""

    threads: int
    """CPU threads of an attempt."""
    memory_limit_bytes: int
    """Address space that an attempt may take beside what the actor has; 0 is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorFacts:
    """What an actor says of itself."""

    node_id: str
    """Ray's."""
    pid: int
    versions: dict[str, str]
    """By name of the software."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One attempt, without the bytes."""

    parcel: Parcel
    pack_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How an attempt ended, with everything that the process of a local attempt leaves in its folder."""

    outcome_json: bytes
    """`outcome.json`; its paths are the actor's, only their names count."""
    files: dict[str, bytes]
    """The result set by name."""
    log: bytes
    """`job.log`."""
