"""CT images for benchmarks of receiving: one header, pixels like a scanner's, UIDs of their own."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from builders.instances import ct_instance

_DIFFERENT_PIXELS = 16
"""Images in memory; the UIDs make every object another one."""


def write_objects(folder: Path, *, count: int, rows: int, study: str) -> list[Path]:
    """Files of one series, `rows` x `rows` of 16 bit: 12 bit of noise, which no file system compresses away."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(count)
    images = [
        random.integers(-1024, 3071, (rows, rows), dtype=np.int16).tobytes()
        for _ in range(min(count, _DIFFERENT_PIXELS))
    ]
    paths = []
    dataset = ct_instance(1, study=study, Rows=rows, Columns=rows, BitsAllocated=16, BitsStored=16, HighBit=15)
    for number in range(count):
        _renumber(dataset, number, study)
        dataset.PixelData = images[number % len(images)]
        paths.append(folder / f"{number:06}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _renumber(dataset: Dataset, number: int, study: str) -> None:
    uid = f"{study}.1.{number + 1}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient = [-180, -180, -number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
