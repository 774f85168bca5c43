"""Where `infer` and `demo` write results: one folder per study, and none that holds images which are read."""

from collections.abc import Iterable
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.file_header import read_file_header
from dicom_node.folders import FolderStudy, folder_name_from_uid


class ResultsBesideImagesError(NodeError):
    """Results would be written beside images that are read; choose another folder with --out."""

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        super().__init__(
            f"results would be written into {folder}, which holds images that are read; choose another --out"
        )


def result_folder(out: Path, study_instance_uid: str) -> Path:
    """The folder below `out` that takes the results of a study."""
    return out / folder_name_from_uid(study_instance_uid)


def check_result_folders(out: Path, studies: Iterable[FolderStudy], *, sources: Iterable[FolderStudy]) -> None:
    """Refuse to write where images are read: results replace files of their own names, and a folder has one purpose.

    What an earlier run wrote there is no obstacle, although a search for studies finds it.

    Args:
        out: Gets one folder per study.
        studies: Whose results are written.
        sources: All that is read.

    Raises:
        ResultsBesideImagesError: At or below the folder of a result lies a file that is read.
    """
    folders = {result_folder(out, study.files.study_instance_uid).resolve() for study in studies}
    for path in (path for source in sources for path in source.files.paths):
        folder = next((parent for parent in path.resolve().parents if parent in folders), None)
        if folder is not None and not _is_own_result(path):
            raise ResultsBesideImagesError(folder)


def _is_own_result(path: Path) -> bool:
    """Whether the node made it, by its equipment."""
    return read_file_header(path)[1].is_of_our_make
