"""The folders of real CT that a configuration names, as training data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.model_input import InputContract
from pipeline.model_pack import file_sha256
from pipeline.training.cases import is_whole, whole_or_not_at_all
from pipeline.training.config import DataConfig, RealFolder, TrainingConfig, TrainingConfigError
from pipeline.training.fingerprint import fingerprint
from pipeline.training.real_cases import save_real_cases
from pipeline.training.real_lungs import RealStudy, read_real_studies

RENDERING = 3
"""Raise it when the same folders make other cases, or the same cases another truth."""


def real_folders_fingerprint(folders: Sequence[RealFolder]) -> str:
    """Of every file in them by its content, wherever the folders lie and whatever they are called, and of what is made of it.

    Raises:
        TrainingConfigError: A folder is not there.
    """
    content = [_content(folder.path) for folder in folders]
    return fingerprint([RENDERING, *content] if content else [])


def real_cases_folder(config: TrainingConfig, folders_fingerprint: str, contract: InputContract) -> Path:
    """Where the cache has the painted real chests of these folders; those of others are not taken for them.

    Args:
        config: Of the run.
        folders_fingerprint: From `real_folders_fingerprint`.
        contract: The model grid.
    """
    told = fingerprint([contract, folders_fingerprint, config.data.paintings_per_real_study])
    return config.cache / f"real-{told[:16]}"


def render_real_cases(data: DataConfig, folder: Path, contract: InputContract) -> None:
    """Painted real chests from every folder of real CT, all or none; what is there whole stays.

    Raises:
        TrainingConfigError: A folder holds nothing to train on.
    """
    if not data.real_folders or is_whole(folder):
        return
    studies = [study for number, given in enumerate(data.real_folders) for study in _studies(number, given.path)]
    with whole_or_not_at_all(folder) as part:
        save_real_cases(studies, part, data.paintings_per_real_study, contract=contract)


def _studies(number: int, folder: Path) -> list[RealStudy]:
    """Of one folder; two folders may call their patients alike."""
    studies = [replace(study, name=f"{number}-{study.name}") for study in read_real_studies(folder)]
    if not studies:
        reason = (
            f"[[data.real_folders]].path: no axial CT series of at least ten slices that shows lungs is in {folder}"
        )
        raise TrainingConfigError(reason)
    return studies


def _content(folder: Path) -> list[tuple[str, str]]:
    if not folder.is_dir():
        reason = f"[[data.real_folders]].path: there is no folder {folder}"
        raise TrainingConfigError(reason)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), file_sha256(path)) for path in files]
