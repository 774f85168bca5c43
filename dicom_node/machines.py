"""Several machines on one index and one data folder: who this one is among them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from config.settings import Settings
from storage.database import open_engine
from storage.shared_folder import join_shared_folder, refuse_foreign_folder, refuse_other_folder


def require_own_folder(settings: Settings) -> None:
    """Return if the data folder is the right one: the one that all machines of the index share, or one of its own.

    Args:
        settings: Of a node whose index is migrated.

    Raises:
        SharedFolderError: It is not.
        StorageError: The folder or the index cannot be read.
    """
    _check_folder(settings, join_shared_folder if settings.storage.shared else refuse_foreign_folder)


def refuse_folder_of_others(settings: Settings) -> None:
    """Return if the data folder is the right one as far as the index says which one that is; nothing is changed.

    Args:
        settings: Of a node whose index may be of an older version.

    Raises:
        SharedFolderError: It is not.
        StorageError: The folder or the index cannot be read.
    """
    _check_folder(settings, refuse_other_folder if settings.storage.shared else refuse_foreign_folder)


def _check_folder(settings: Settings, check: Callable[[Engine, Path], None]) -> None:
    engine = open_engine(settings.database_url)
    try:
        check(engine, settings.data_dir)
    finally:
        engine.dispose()


def owner_of_parts(role: str, machine: str) -> str:
    """Whose the files are that a process receives."""
    return f"{role}-{machine}" if machine else role


def association_prefix(machine: str) -> str:
    """How the names of all associations begin that listeners of a machine ever have; empty where it is the only one."""
    return hashlib.sha256(machine.encode()).hexdigest()[:8] + "-" if machine else ""
