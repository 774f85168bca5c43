"""Where installed model packs lie, and which one the node uses.

    <data_dir>/models/<name>-<version>-<first 8 digits of the sha256>/    one pack
    <data_dir>/models/current.json                                       {"history": [...]}, the last one is in use

Nothing here loads a pack: the worker asks for each job, and a new pack is used from the next job on.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from config.settings import Settings
from dicom_node.errors import NodeError
from storage.disk import give_to_owner

_FOLDER = "models"
_RECORD = "current.json"


class PackStoreError(NodeError):
    """The record of installed model packs cannot be read; install the pack again."""


class NothingInstalledError(NodeError):
    """No model pack is installed: the one that comes with the package is in use already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """The content of `current.json`."""

    history: tuple[str, ...]
    """Names of folders in the order in which they came into use; the last one is in use."""


class PackStore:
    """The installed packs of a node."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is made before the first pack is put in."""
        self.folder = data_dir / _FOLDER

    def current(self) -> Path | None:
        """The pack in use; None is the one that comes with the package.

        Raises:
            PackStoreError: The record is damaged.
        """
        history = self._history()
        return self.folder / history[-1] if history else None

    def previous(self) -> Path | None:
        """The pack that a rollback brings back; None is the one that comes with the package."""
        history = self._history()
        return self.folder / history[-2] if len(history) > 1 else None

    def installed(self) -> tuple[Path, ...]:
        """All installed packs by name."""
        return tuple(sorted(path.parent for path in self.folder.glob("[!.]*/stnet.json")))

    def make_folder(self) -> None:
        """For packs; nothing where it is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        give_to_owner(self.folder)

    def use(self, name: str) -> None:
        """Make an installed pack the current one."""
        history = self._history()
        if history[-1:] != (name,):
            self._write((*history, name))

    def roll_back(self) -> Path | None:
        """Make the pack current that was so before; None is the one that comes with the package.

        Raises:
            NothingInstalledError: There is none before the one that comes with the package.
            PackStoreError: The record is damaged.
        """
        history = self._history()
        if not history:
            raise NothingInstalledError
        self._write(history[:-1])
        return self.current()

    def _history(self) -> tuple[str, ...]:
        path = self.folder / _RECORD
        try:
            return TypeAdapter(_Record).validate_json(path.read_bytes()).history
        except FileNotFoundError:
            return ()
        except OSError as exc:
            reason = f"{path} cannot be read: {exc.strerror}"
            raise PackStoreError(reason) from exc
        except ValidationError as exc:
            reason = f"{path} is damaged; remove it, then install the model pack again"
            raise PackStoreError(reason) from exc

    def _write(self, history: tuple[str, ...]) -> None:
        """Whole or not at all."""
        self.make_folder()
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as part:
            part.write(TypeAdapter(_Record).dump_json(_Record(history=history), indent=1))
            part.flush()
            os.fchmod(part.fileno(), 0o644)
            give_to_owner(Path(part.name))
            os.fsync(part.fileno())
        Path(part.name).replace(self.folder / _RECORD)
        sync_folder(self.folder)


def sync_folder(folder: Path) -> None:
    """Names in a folder survive a loss of power from here on."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def chosen_pack(settings: Settings) -> Path | None:
    """The pack that the configuration names, else the installed current one; None is the one in the package.

    Raises:
        PackStoreError: The record of installed packs is damaged.
    """
    return settings.pipeline.model_pack or PackStore(settings.data_dir).current()
