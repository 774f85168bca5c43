"""Small instances, as a scanner would send them."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)
from pynetdicom.dsutils import encode

from pipeline.phantom.multi_frame import build_multi_frame

ROWS = 16
"""Rows and columns of an image."""


def ct_instance(number: int = 1, *, study: str = "1.2.3.4", **changes: object) -> Dataset:
    """A CT image of 16 x 16 pixels, explicit VR little endian; `changes` are set by keyword, None deletes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _set_identity(dataset, study)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[study, str(number)])
    dataset.SeriesInstanceUID = f"{study}.1"
    dataset.Modality = "CT"
    dataset.SeriesDescription = "LUNG 1.25"
    dataset.BodyPartExamined = "CHEST"
    dataset.InstanceNumber = number
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    _set_pixels(dataset, fill=number)
    _change(dataset, changes)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")
    return dataset


def enhanced_ct_instance(frames: int = 3, *, study: str = "1.2.3.4", **changes: object) -> Dataset:
    """One Enhanced CT image of frames of 16 x 16 pixels, as `ct_instance` otherwise."""
    images = [_placed(ct_instance(number, study=study), number) for number in range(1, frames + 1)]
    enhanced = build_multi_frame(images, sop_instance_uid=generate_uid(entropy_srcs=[study, "enhanced"]))
    _change(enhanced, changes)
    return enhanced


def _placed(image: Dataset, number: int) -> Dataset:
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness, image.AcquisitionNumber = [1, 1], 1, 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -1024, 1, "HU"
    return image


def localizer(*, study: str = "1.2.3.4") -> Dataset:
    """The scout of a CT study."""
    return ct_instance(900, study=study, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def dose_report(*, study: str = "1.2.3.4") -> Dataset:
    """A structured report without pixels, as scanners add one to each study."""
    dataset = ct_instance(901, study=study, SOPClassUID=ComprehensiveSRStorage, Modality="SR")
    for keyword in ("PixelData", "Rows", "Columns", "ImageType"):
        delattr(dataset, keyword)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113701", "DCM", "X-Ray Radiation Dose Report"
    dataset.ConceptNameCodeSequence = [code]
    return dataset


def compressed_ct_instance(fragment: bytes, *, study: str = "1.2.3.4") -> Dataset:
    """A CT image whose pixel data is one opaque fragment, labelled JPEG 2000 lossless."""
    dataset = ct_instance(study=study, PixelData=encapsulate([fragment]))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return dataset


def encoded(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """The data set as it travels in a C-STORE, by pynetdicom."""
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    syntax = dataset.file_meta.TransferSyntaxUID
    data = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert data is not None
    return data


def _set_identity(dataset: Dataset, study: str) -> None:
    dataset.PatientID = "P1"
    dataset.IssuerOfPatientID = "HOSPITAL"
    dataset.PatientName = "Phantom^Petra"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "F"
    dataset.StudyInstanceUID = study
    dataset.StudyDate, dataset.StudyTime = "20260102", "101500"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20260102", "101700.5"
    dataset.AccessionNumber = "A1"
    dataset.StudyDescription = "Chest"


def _set_pixels(dataset: Dataset, *, fill: int) -> None:
    dataset.Rows, dataset.Columns = ROWS, ROWS
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes([fill % 256, 0]) * ROWS**2
    dataset["PixelData"].VR = "OW"


def _change(dataset: Dataset, changes: dict[str, object]) -> None:
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
