"""The folders of real CT that a configuration names, as training data."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.model_pack import file_sha256
from pipeline.training.config import RealFolder, TrainingConfigError
from pipeline.training.fingerprint import fingerprint


def real_folders_fingerprint(folders: Sequence[RealFolder]) -> str:
    """Of every file in them by its content, wherever the folders lie and whatever they are called.

    Raises:
        TrainingConfigError: A folder is not there.
    """
    return fingerprint([_content(folder.path) for folder in folders])


def _content(folder: Path) -> list[tuple[str, str]]:
    if not folder.is_dir():
        reason = f"[[data.real_folders]].path: there is no folder {folder}"
        raise TrainingConfigError(reason)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), file_sha256(path)) for path in files]
