"""What the driver of a cluster is told by the worker that started it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from config.ray import RaySettings
from config.settings import Settings

ANALYSIS_ACTOR = "dicom_node.cluster.actor:AnalysisActor"
"""What analyses, as `module:class`; loaded only where it runs, since it loads torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPlan:
    """The part of the settings that concerns a driver."""

    ray: RaySettings
    device: str
    """[pipeline].device; the number of a GPU is left to Ray."""
    time_limit_s: float
    memory_limit_bytes: int
    data_dir: Path
    """Takes the state of the cluster."""
    actor: str = ANALYSIS_ACTOR
    """What analyses, as `module:class`."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings want it."""
        return cls(
            ray=settings.ray,
            device=settings.pipeline.device.partition(":")[0],
            time_limit_s=settings.pipeline.time_limit_s,
            memory_limit_bytes=settings.pipeline.memory_limit_bytes,
            data_dir=settings.data_dir,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan that `to_json` gave."""
        return TypeAdapter(cls).validate_json(text)

    def to_json(self) -> str:
        """One line."""
        return TypeAdapter(DriverPlan).dump_json(self).decode()
