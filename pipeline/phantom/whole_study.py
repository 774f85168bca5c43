"""Whole studies as a scanner sends them: scout, axial series of two kernels, coronal reformat."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.phantom.dicom_files import (
    SeriesLabel,
    SeriesWriter,
    build_image,
    decimal_string,
    save_image,
    write_dicom,
)
from pipeline.phantom.identity import StudyLabel
from pipeline.phantom.patient import PhantomPatient
from pipeline.phantom.render import PhantomStudy, render_reconstructions
from pipeline.phantom.scan import Kernel, Scan
from pipeline.phantom.stored import StoredGeometry, stored_planes

SCOUT_SERIES, LUNG_SERIES, SOFT_SERIES, CORONAL_SERIES = 1, 2, 3, 4
_WATER_PER_MM = 0.0195
"""Attenuation of water at about 70 keV, the mean energy at 120 kV (NIST XCOM)."""
_CORONAL_STEP_MM = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStudy:
    """A whole study on disk with its truth."""

    study_instance_uid: str
    lung_series_uid: str
    """The series to be analysed; `truth` is on its grid."""
    paths: tuple[Path, ...]
    truth: PhantomStudy


def write_whole_study(
    patient: PhantomPatient,
    day: float,
    folder: Path,
    *,
    label: StudyLabel,
    scan: Scan,
    write_series: SeriesWriter = write_dicom,
) -> WrittenStudy:
    """Scan a patient and write a scout, a lung and a soft kernel series and a coronal reformat of one study.

    The scout is a single image, as scanners that send Enhanced CT write it too.
    """
    kernels = (
        replace(scan, kernel=Kernel.LUNG),
        replace(scan, kernel=Kernel.SOFT, noise_hu=0.4 * scan.noise_hu),
    )
    lung, soft = render_reconstructions(patient, day, scans=kernels)
    paths = (
        write_scout(lung, folder, label=label),
        *write_series(lung, folder, label=label, series=SeriesLabel(number=LUNG_SERIES, description="Chest lung")),
        *write_series(soft, folder, label=label, series=SeriesLabel(number=SOFT_SERIES, description="Chest soft")),
        *write_coronal(lung, folder, label=label, write_series=write_series),
    )
    return WrittenStudy(
        study_instance_uid=label.study_uid,
        lung_series_uid=label.series_uid(LUNG_SERIES),
        paths=paths,
        truth=lung,
    )


def write_scout(study: PhantomStudy, folder: Path, *, label: StudyLabel) -> Path:
    """Write a frontal localizer, the projection of the volume from front to back, as one CT image."""
    per_voxel = (study.volume_hu.astype(np.float32) + 1000.0) * (_WATER_PER_MM * study.spacing_mm[1] / 1000.0)
    path_length = per_voxel.sum(axis=1, keepdims=True) / (_WATER_PER_MM * 300.0)
    projection = np.clip(1000.0 * path_length - 1000.0, -1024, 3071).astype(np.int16)
    x_mm, y_mm, z_mm = study.origin_lps_mm
    middle_mm = y_mm + 0.5 * (study.volume_hu.shape[1] - 1) * study.spacing_mm[1]
    (plane,) = stored_planes(projection, study.spacing_mm, (x_mm, middle_mm, z_mm), geometry=StoredGeometry.CORONAL)
    series = SeriesLabel(
        number=SCOUT_SERIES,
        description="Scout",
        geometry=StoredGeometry.CORONAL,
        image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"),
    )
    image = build_image(plane, 1, label=label, series=series)
    image.SliceThickness = decimal_string(1.0)
    image.ConvolutionKernel = ""
    del image.RescaleType
    image.WindowCenter, image.WindowWidth = "-100", "1400"
    return save_image(image, folder)


def write_coronal(
    study: PhantomStudy, folder: Path, *, label: StudyLabel, write_series: SeriesWriter = write_dicom
) -> tuple[Path, ...]:
    """Write a coronal reformat of a study, about 3 mm apart, as a derived series."""
    step = max(1, round(_CORONAL_STEP_MM / study.spacing_mm[1]))
    rows = study.volume_hu.shape[1] // step
    shape = (study.volume_hu.shape[0], rows, step, study.volume_hu.shape[2])
    averaged = study.volume_hu[:, : rows * step].reshape(shape).mean(axis=2)
    z_mm, y_mm, x_mm = study.spacing_mm
    origin_x, origin_y, origin_z = study.origin_lps_mm
    reformat = replace(
        study,
        volume_hu=np.rint(averaged).astype(np.int16),
        spacing_mm=(z_mm, y_mm * step, x_mm),
        origin_lps_mm=(origin_x, origin_y + 0.5 * (step - 1) * y_mm, origin_z),
    )
    series = SeriesLabel(
        number=CORONAL_SERIES,
        description="Chest coronal",
        geometry=StoredGeometry.CORONAL,
        image_type=("DERIVED", "SECONDARY", "REFORMATTED"),
    )
    return write_series(reformat, folder, label=label, series=series)
