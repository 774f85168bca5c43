"""Earlier versions of the configuration file, kept in the data folder."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from dicom_node.configuring.errors import UnknownVersionError
from dicom_node.configuring.file import may_write_into, sha256_of_text
from storage.disk import disk_errors, make_folder, open_file, sync_folder

KEPT_VERSIONS = 100
"""Older ones are forgotten."""

_FOLDER = "config-history"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One version of the file; what it says is not in here, since it may hold secrets."""

    number: int
    """From 1; what `config restore` takes."""
    at: datetime
    """When it was written; of a change by hand, when the file says that it was."""
    by: str
    """Operator; empty for a change by hand."""
    what: str
    """What was changed, in words."""
    sha256: str
    """Of the file."""
    is_current: bool = False
    """Whether the file is as this version was."""


class ConfigHistory:
    """The versions of one file, in the data folder of its node."""

    def __init__(self, data_dir: Path, *, machine: str = "") -> None:
        """Keep them below the data folder; it is made with the first version.

        Args:
            data_dir: Of the node.
            machine: Whose file it is, where several share the folder.
        """
        self._folder = data_dir / (f"{_FOLDER}-{Path(machine).name}" if machine else _FOLDER)

    def is_writable(self) -> bool:
        """Whether this user may keep a version."""
        return may_write_into(self._folder)

    def versions(self, *, current_text: str = "") -> tuple[ConfigVersion, ...]:
        """Every version that is kept, the newest first."""
        current = sha256_of_text(current_text)
        found = sorted(self._read(), key=lambda version: version.number, reverse=True)
        newest_like_it = next((version.number for version in found if version.sha256 == current), 0)
        return tuple(replace(version, is_current=version.number == newest_like_it) for version in found)

    def text_of(self, number: int) -> str:
        """The file as it was.

        Raises:
            UnknownVersionError: There is no version of this number, or no longer.
        """
        try:
            return self._path(number, "toml").read_bytes().decode()
        except FileNotFoundError:
            reason = f"the history has no version {number}; `dicom-node config history` shows them"
            raise UnknownVersionError(reason) from None

    def keep(self, text: str, *, at: datetime, by: str, what: str) -> ConfigVersion | None:
        """Keep a version, on disk when this returns; None where the newest is the same already.

        Raises:
            DiskError: The data folder cannot be written.
        """
        known = self.versions()
        digest = sha256_of_text(text)
        if known and known[0].sha256 == digest:
            return None
        number = known[0].number + 1 if known else 1
        version = ConfigVersion(number=number, at=at, by=by, what=what, sha256=digest)
        with disk_errors():
            make_folder(self._folder)
            self._write(self._path(number, "toml"), text.encode())
            record = {**asdict(version), "at": at.isoformat()}
            del record["is_current"]
            self._write(self._path(number, "json"), json.dumps(record).encode())
            sync_folder(self._folder)
            for old in known[KEPT_VERSIONS - 1 :]:
                self._path(old.number, "json").unlink(missing_ok=True)
                self._path(old.number, "toml").unlink(missing_ok=True)
        return version

    def take_out(self, number: int) -> None:
        """Forget a version that never came into force.

        Raises:
            DiskError: The data folder cannot be written.
        """
        with disk_errors():
            self._path(number, "json").unlink(missing_ok=True)
            self._path(number, "toml").unlink(missing_ok=True)

    def _read(self) -> Iterator[ConfigVersion]:
        """What is there whole; a version is complete once its record is."""
        for path in self._folder.glob("*.json"):
            try:
                record = json.loads(path.read_bytes())
                yield ConfigVersion(**{**record, "at": datetime.fromisoformat(record["at"])})
            except (ValueError, KeyError, TypeError):
                continue

    def _path(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:06d}.{kind}"

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_suffix(".part")
        descriptor = open_file(part, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
