"""A phantom patient with two studies that are small enough to be analysed in seconds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallStudy:
    """One study on disk."""

    study_instance_uid: str
    folder: Path

    @property
    def paths(self) -> list[Path]:
        """Its files."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallPatient:
    """Two studies of one patient."""

    earlier: SmallStudy
    current: SmallStudy
