"""Result sets of built studies, each written once per test module, because pictures and reports take a second."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from builders.analysis import StudyPlan, build_analysis, build_context
from dicom_node.results.write import write_result_set


class ResultShelf:
    """Keeps what was written by what it was written from."""

    def __init__(self, root: Path) -> None:
        """Start empty below `root`."""
        self._root = root
        self._folders: dict[object, Path] = {}

    def folder(self, study: StudyPlan | None = None, /, **context: object) -> Path:
        """Folder with `ct` and the result set in `out`; to be read only."""
        study = study or StudyPlan()
        key = (study, tuple(sorted(context.items())))
        if key not in self._folders:
            folder = self._root / str(len(self._folders))
            write_result_set(build_analysis(folder / "ct", study), build_context(**context), folder=folder / "out")
            self._folders[key] = folder
        return self._folders[key]

    def read(self, name: str, study: StudyPlan | None = None, /, **context: object) -> Dataset:
        """One DICOM result by its file name, as pydicom reads it."""
        return pydicom.dcmread(self.folder(study, **context) / "out" / name)
