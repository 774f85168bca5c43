"""What the node says of real chests in NIfTI, NRRD or MetaImage files.

    python tests/benchmarks/chest_volumes.py FILE [FILE ...] [--pack PACK]

Each volume is written as a DICOM series and analysed as a study without earlier ones. Printed are: volume of the lungs, their
overlap (Dice) with lungs found by a threshold, which is good for aerated lungs and leaves tumours and consolidation out,
involvement in per cent, patient score, and the highest score of a slice. The last line is one JSON object.

Two public sources on PyPI hold whole chests that are free of COVID-19: `data/lung1_image.nrrd` and `lung2_image.nrrd` in the
source distribution of pyradiomics 3.0.1 (each with a tumour), `tests/reference_files/aorta_report/example_ct.nii.gz` in that of
TotalSegmentator 2.18.0. The bundled lung network has seen all three, of lung2 only what is above and
below its tumour; Space-Time-Net none of them.
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import SimpleITK
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.engine import Engine, build_engine
from pipeline.model_pack import load_model_pack
from pipeline.run import analyse_with
from pipeline.study import Float64Array, Int16Array, StudyFiles
from pipeline.training.real_lungs import pseudo_lung_mask
from pipeline.warp import dice


def main() -> None:
    """Analyse each, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pack", type=Path)
    wanted = parser.parse_args()
    engine = build_engine(load_model_pack(wanted.pack), torch.device("cpu"))
    found = {path.name: analysed(engine, *read_chest(path)) for path in wanted.files}
    sys.stdout.write(json.dumps({"benchmark": "chest_volumes", "chests": found}) + "\n")


def read_chest(path: Path) -> tuple[Int16Array, tuple[float, float, float]]:
    """HU (z, y, x) in patient order, the lowest slice first, and millimetres along z, y, x."""
    image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "LPS")
    volume_hu = np.clip(SimpleITK.GetArrayFromImage(image), -1024, 3071).astype(np.int16)
    x_mm, y_mm, z_mm = image.GetSpacing()
    return volume_hu, (z_mm, y_mm, x_mm)


def analysed(engine: Engine, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
    """The figures of one chest."""
    with tempfile.TemporaryDirectory() as folder:
        files = StudyFiles(
            study_instance_uid="1.2.3",
            acquired_at=datetime(2020, 3, 11, 9, 30, tzinfo=UTC),
            paths=tuple(as_dicom(volume_hu, spacing_mm, Path(folder))),
        )
        result = analyse_with(engine, files, [], on_progress=lambda *_: None)
    lungs = result.lung_mask > 0
    return {
        "lungs_ml": round(float(lungs.sum()) * float(np.prod(spacing_mm)) / 1000.0),
        "dice_with_threshold": round(dice(lungs, pseudo_lung_mask(volume_hu, spacing_mm) > 0), 3),
        "involvement_percent": round(result.findings.involvement_percent, 2),
        "patient_score": round(result.findings.patient_score, 3),
        "highest_slice_score": round(max(result.findings.slice_scores), 3),
    }


def as_dicom(volume_hu: Int16Array, spacing_mm: tuple[float, float, float], folder: Path) -> list[Path]:
    """A volume (z, y, x) in patient order as one series, the lowest slice first."""
    middle = (np.array(volume_hu.shape[::-1]) - 1) / 2.0

    def hu(points: Float64Array) -> Int16Array:
        x, y, z = np.moveaxis(np.rint(points / spacing_mm[::-1] + middle).astype(int), -1, 0)
        return np.asarray(volume_hu[z, y, x])

    return write_images(folder, ct_images(CtSeries(shape=volume_hu.shape, spacing_mm=spacing_mm), hu))


if __name__ == "__main__":
    main()
