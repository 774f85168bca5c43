"""Segmentations and structure sets as other software writes them."""

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage, generate_uid

from builders.site_data import SHAPE, SPACING_MM, Drawing

MORPHOLOGY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
GROUND_GLASS = Code("112120", "DCM", "Ground glass opacity")
CONSOLIDATION = Code("95436008", "SCT", "Lung consolidation")
LIVER = Code("10200004", "SCT", "Liver")


def drawn_on(images: Sequence[Dataset], drawing: Drawing) -> NDArray[np.bool_]:
    """(k, j, i): what a reader would have painted on each image, or on each frame of one."""
    return np.stack([drawing(_points(one)) > 0 for image in images for one in _slices(image)])


def highdicom_seg(
    path: Path,
    images: Sequence[FileDataset],
    drawing: Drawing,
    *,
    code: Code = GROUND_GLASS,
    label: str = "Segment",
    made_by: str = "MANUAL",
) -> None:
    """A segmentation of one segment by highdicom, empty frames left out; probabilities where it is called so."""
    is_fraction = label == "probability"
    mask = drawn_on(images, drawing)
    algorithm = hd.AlgorithmIdentificationSequence(
        name="net", family=Code("123110", "DCM", "Artificial Intelligence"), version="1"
    )
    segmentation = hd.seg.Segmentation(
        source_images=list(images),
        pixel_array=mask.astype(np.float32) * 0.9 if is_fraction else mask.astype(np.uint8),
        segmentation_type="FRACTIONAL" if is_fraction else "BINARY",
        segment_descriptions=[
            hd.seg.SegmentDescription(
                segment_number=1,
                segment_label=label,
                segmented_property_category=MORPHOLOGY,
                segmented_property_type=code,
                algorithm_type=made_by,
                algorithm_identification=None if made_by == "MANUAL" else algorithm,
            )
        ],
        series_instance_uid=generate_uid(),
        series_number=90,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="other",
        manufacturer_model_name="other",
        software_versions="1",
        device_serial_number="1",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)


def dcmqi_like_seg(
    path: Path,
    images: Sequence[FileDataset],
    drawing: Drawing,
    *,
    label: str,
    code: Code,
    thickness_mm: float = SPACING_MM,
) -> None:
    """A segmentation as older tools write it: geometry in shared groups, codes of SRT, no spacing between slices.

    Its frames are in the order of the images given and the rows run as in them; only frames that show something are in.
    """
    masks = drawn_on(images, drawing)
    shown = [(image, mask) for image, mask in zip(images, masks, strict=True) if mask.any()]
    dataset = _file(path, SegmentationStorage, images[0], "SEG")
    dataset.SegmentationType = "BINARY"
    dataset.Rows, dataset.Columns = SHAPE[1:]
    dataset.BitsAllocated = dataset.BitsStored = dataset.SamplesPerPixel = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.NumberOfFrames = len(shown)
    dataset.SegmentSequence = [_segment(label, code)]
    dataset.ReferencedSeriesSequence = [_item(SeriesInstanceUID=images[0].SeriesInstanceUID)]
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PlaneOrientationSequence=[_item(ImageOrientationPatient=list(images[0].ImageOrientationPatient))],
            PixelMeasuresSequence=[_item(PixelSpacing=[SPACING_MM, SPACING_MM], SliceThickness=thickness_mm)],
            SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=1)],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=list(image.ImagePositionPatient))])
        for image, _ in shown
    ]
    bits = np.concatenate([mask.ravel() for _, mask in shown]).astype(np.uint8)
    dataset.PixelData = np.packbits(bits, bitorder="little").tobytes()
    dataset.save_as(path, enforce_file_format=True)


def structure_set(
    path: Path, images: Sequence[FileDataset], regions: dict[str, list[NDArray[np.float64]]]
) -> FileDataset:
    """An RT Structure Set; contours (n, 3) are LPS in mm."""
    dataset = _file(path, RTStructureSetStorage, images[0], "RTSTRUCT")
    series = _item(SeriesInstanceUID=images[0].SeriesInstanceUID)
    study = _item(ReferencedSOPInstanceUID=images[0].StudyInstanceUID, RTReferencedSeriesSequence=[series])
    dataset.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=images[0].FrameOfReferenceUID, RTReferencedStudySequence=[study])
    ]
    dataset.StructureSetROISequence = [
        _item(ROINumber=number, ROIName=name) for number, name in enumerate(regions, start=1)
    ]
    dataset.ROIContourSequence = [
        _item(ReferencedROINumber=number, ContourSequence=[_contour(points) for points in contours])
        for number, contours in enumerate(regions.values(), start=1)
    ]
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def square_mm(image: Dataset, centre: NDArray[np.float64], half_mm: float) -> NDArray[np.float64]:
    """A square in the plane of an image, (4, 3), about a place in the patient."""
    z = float(image.ImagePositionPatient[2])
    corners = [(-half_mm, -half_mm), (half_mm, -half_mm), (half_mm, half_mm), (-half_mm, half_mm)]
    return np.array([[centre[0] + x, centre[1] + y, z] for x, y in corners])


def _contour(points: NDArray[np.float64]) -> Dataset:
    return _item(
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourData=[f"{value:.4f}" for value in points.ravel()],
    )


def _segment(label: str, code: Code) -> Dataset:
    kind = _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)
    category = _item(CodeValue="M-01000", CodingSchemeDesignator="SRT", CodeMeaning="Morphologically Altered Structure")
    return _item(
        SegmentNumber=1,
        SegmentLabel=label,
        SegmentAlgorithmType="SEMIAUTOMATIC",
        SegmentedPropertyCategoryCodeSequence=[category],
        SegmentedPropertyTypeCodeSequence=[kind],
    )


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def _file(path: Path, sop_class: str, image: FileDataset, modality: str) -> FileDataset:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.PatientID, dataset.StudyInstanceUID = image.PatientID, image.StudyInstanceUID
    dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), modality
    return dataset


def _slices(image: Dataset) -> list[Dataset]:
    """Where an image, or each frame of it, lies."""
    if "PerFrameFunctionalGroupsSequence" not in image:
        return [image]
    orientation = image.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    return [
        _item(
            ImagePositionPatient=frame.PlanePositionSequence[0].ImagePositionPatient,
            ImageOrientationPatient=orientation,
            Rows=image.Rows,
            Columns=image.Columns,
        )
        for frame in image.PerFrameFunctionalGroupsSequence
    ]


def _points(image: Dataset) -> NDArray[np.float64]:
    """(rows, columns, 3): LPS of each pixel (PS3.3 C.7.6.2.1.1)."""
    row = np.array(image.ImageOrientationPatient[:3], float) * SPACING_MM
    column = np.array(image.ImageOrientationPatient[3:], float) * SPACING_MM
    j, i = np.meshgrid(np.arange(image.Rows), np.arange(image.Columns), indexing="ij")
    return np.array(image.ImagePositionPatient, float) + i[..., None] * row + j[..., None] * column
