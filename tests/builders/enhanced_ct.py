"""Enhanced CT images made of single-frame ones."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset

from pipeline.phantom import build_multi_frame
from pipeline.study import SliceHeader


def enhanced_from(images: Sequence[FileDataset], *, number: int = 1) -> FileDataset:
    """One Enhanced CT image of all images, as the `number`-th instance of their series."""
    enhanced = build_multi_frame(images, sop_instance_uid=f"{images[0].SeriesInstanceUID}.9.{number}")
    enhanced.InstanceNumber = number
    return enhanced


def change_frames(enhanced: Dataset, change: Callable[[Dataset, int], object]) -> None:
    """Call `change` with the functional groups of each frame and its number from 1."""
    for number, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence, start=1):
        change(groups, number)


def own_frame_type(groups: Dataset, shared: Dataset, *, frame_type: Sequence[str], technique: str = "NONE") -> None:
    """Give a frame a type of its own; the others keep that of the shared groups."""
    item = deepcopy(shared.CTImageFrameTypeSequence[0])
    item.FrameType, item.VolumeBasedCalculationTechnique = list(frame_type), technique
    groups.CTImageFrameTypeSequence = [item]


def write_enhanced(folder: Path, *objects: FileDataset) -> list[Path]:
    """One file per object."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"enhanced-{number}.dcm" for number in range(len(objects))]
    for path, enhanced in zip(paths, objects, strict=True):
        enhanced.save_as(path, enforce_file_format=True)
    return paths


def merge_files(headers: Sequence[SliceHeader]) -> tuple[SliceHeader, ...]:
    """Replace single-frame files by one Enhanced CT beside them whose frames run from the last slice to the first."""
    enhanced = enhanced_from([pydicom.dcmread(header.path) for header in reversed(headers)])
    for header in headers:
        header.path.unlink()
    (path,) = write_enhanced(headers[0].path.parent, enhanced)
    uid = str(enhanced.SOPInstanceUID)
    return tuple(
        replace(header, path=path, sop_instance_uid=uid, frame_number=len(headers) - k, instance_number=1)
        for k, header in enumerate(headers)
    )
