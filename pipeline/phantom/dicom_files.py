"""Phantom studies as DICOM files: CT Image Storage or Enhanced CT Image Storage, Explicit VR Little Endian."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from pipeline.phantom.identity import StudyLabel, derive_uid
from pipeline.phantom.multi_frame import build_multi_frame
from pipeline.phantom.render import PhantomStudy
from pipeline.phantom.scan import Kernel
from pipeline.phantom.stored import StoredGeometry, StoredPlane, patient_position, stored_planes

_INTERCEPT_HU = -1024
KERNEL_WORDS = {Kernel.LUNG: "LUNG", Kernel.SOFT: "STANDARD"}
"""Convolution Kernel has no defined terms; these two are the commonest words of one maker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLabel:
    """What tells one series of a study from another."""

    number: int = 2
    description: str = "Chest axial"
    geometry: StoredGeometry = StoredGeometry.STANDARD
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")


def write_dicom(
    study: PhantomStudy, folder: Path, *, label: StudyLabel, series: SeriesLabel | None = None
) -> tuple[Path, ...]:
    """Write one series, one file per slice, into a folder that is made if need be.

    Returns:
        The files by instance number.
    """
    return tuple(save_image(image, folder) for image in _images(study, label, series or SeriesLabel()))


def write_multi_frame_dicom(
    study: PhantomStudy, folder: Path, *, label: StudyLabel, series: SeriesLabel | None = None
) -> tuple[Path, ...]:
    """Write one series as one Enhanced CT image with the slices as its frames.

    Returns:
        The one file.
    """
    series = series or SeriesLabel()
    uid = derive_uid(label.uid_seed, f"series {series.number} multi-frame")
    image = build_multi_frame(list(_images(study, label, series)), sop_instance_uid=uid)
    return (save_image(image, folder),)


def _images(study: PhantomStudy, label: StudyLabel, series: SeriesLabel) -> Iterator[FileDataset]:
    """The single-frame images of one series."""
    planes = stored_planes(study.volume_hu, study.spacing_mm, study.origin_lps_mm, geometry=series.geometry)
    thickness_mm = study.scan.thickness_mm if series.image_type[0] == "ORIGINAL" else study.spacing_mm[1]
    for number, plane in enumerate(planes, start=1):
        image = build_image(plane, number, label=label, series=series)
        image.SliceThickness = decimal_string(thickness_mm)
        image.ConvolutionKernel = KERNEL_WORDS[study.scan.kernel]
        yield image


SeriesWriter = Callable[..., tuple[Path, ...]]
"""`write_dicom` or `write_multi_frame_dicom`."""


def build_image(plane: StoredPlane, number: int, *, label: StudyLabel, series: SeriesLabel) -> FileDataset:
    """One CT image with all modules the CT Image IOD demands (PS3.3 A.3.3), without thickness and kernel."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(label.instance_uid(series.number, number))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    _add_patient_and_study(image, label)
    _add_series(image, label, series)
    image.InstanceNumber = number
    image.ImageType = list(series.image_type)
    _add_acquisition(image, label.study_date_time)
    _add_pixels(image, plane)
    return image


def save_image(image: FileDataset, folder: Path) -> Path:
    """Write an image below a folder, named by its series and instance number."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"series-{image.SeriesNumber}-image-{image.InstanceNumber:04d}.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def decimal_string(value: float) -> str:
    """A number as Decimal String: at most 16 characters (PS3.5 6.2)."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _add_patient_and_study(image: FileDataset, label: StudyLabel) -> None:
    identity, at = label.identity, label.study_date_time
    image.SpecificCharacterSet = "ISO_IR 192"
    image.TimezoneOffsetFromUTC = f"{at:%z}"
    image.PatientName = identity.patient_name
    image.PatientID = identity.patient_id
    image.IssuerOfPatientID = identity.issuer
    image.PatientBirthDate = f"{identity.birth_date:%Y%m%d}"
    image.PatientSex = identity.sex
    image.StudyInstanceUID = label.study_uid
    image.StudyDate, image.StudyTime = _date_time(at)
    image.ReferringPhysicianName = ""
    image.StudyID = "1"
    image.AccessionNumber = ""
    image.StudyDescription = "CT chest"


def _add_series(image: FileDataset, label: StudyLabel, series: SeriesLabel) -> None:
    image.Modality = "CT"
    image.SeriesInstanceUID = label.series_uid(series.number)
    image.SeriesNumber = series.number
    image.SeriesDescription = series.description
    image.SeriesDate, image.SeriesTime = _date_time(label.study_date_time)
    image.PatientPosition = patient_position(series.geometry)
    image.BodyPartExamined = "CHEST"
    image.ProtocolName = "Chest"
    image.FrameOfReferenceUID = label.frame_of_reference_uid
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "dicom-node"
    image.ManufacturerModelName = "phantom"
    image.SoftwareVersions = "1"


def _add_acquisition(image: FileDataset, at: datetime) -> None:
    image.AcquisitionNumber = 1
    image.AcquisitionDate, image.AcquisitionTime = _date_time(at)
    image.ContentDate, image.ContentTime = _date_time(at)
    image.KVP = "120"
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = str(_INTERCEPT_HU), "1", "HU"
    image.WindowCenter, image.WindowWidth = "-600", "1500"


def _add_pixels(image: FileDataset, plane: StoredPlane) -> None:
    image.ImagePositionPatient = [decimal_string(value) for value in plane.position_mm]
    image.ImageOrientationPatient = [str(value) for value in plane.orientation]
    image.PixelSpacing = [decimal_string(value) for value in plane.spacing_mm]
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = plane.pixels_hu.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    stored = np.clip(plane.pixels_hu.astype(np.int32) - _INTERCEPT_HU, 0, None)
    image.PixelData = stored.astype("<u2").tobytes()


def _date_time(at: datetime) -> tuple[str, str]:
    return f"{at:%Y%m%d}", f"{at:%H%M%S}"
