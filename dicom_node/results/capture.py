"""Pictures of the key slices as a series of RGB images (Secondary Capture Image Storage, PS3.3 A.8.1).

Single-frame, and of the oldest capture class: it is what a PACS takes that takes neither segmentations nor the
multi-frame captures.
"""

from typing import Final

import numpy as np
from highdicom import SOPClass
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.results.acquisition import LOSSY, NOT_LOSSY, was_compressed_with_loss
from dicom_node.results.colours import LESION_RGB
from dicom_node.results.context import ResultContext
from dicom_node.results.derived_object import ObjectPlan, image_references, new_object
from dicom_node.results.directions import direction_letter
from dicom_node.results.key_images import key_images
from dicom_node.results.preview import (
    NOT_FOR_DIAGNOSIS,
    WARNING_INK,
    draw_panel,
    fitted_size,
    write_on,
)
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids
from pipeline.findings import Analysis
from pipeline.study import Grid

LONGEST_PIXELS: Final = 768
"""The longer side of a picture: half as large again as the usual matrix, so that thin outlines show."""

NO_LESION: Final = "No lesion found"
DERIVATION: Final = "Key slice in a lung window with the outlines of lungs and lesions that an algorithm found"


def build_captures(material: ReportMaterial, *, context: ResultContext, uids: ResultUids) -> list[Dataset]:
    """One image for each key slice, in slice order."""
    slices = key_images(material.analysis)
    return [_build(material, (number, k), context=context, uids=uids) for number, k in enumerate(slices, start=1)]


def draw_capture(analysis: Analysis, slice_index: int) -> Image.Image:
    """One slice with outlines, numbers and notice."""
    picture = draw_panel(analysis, slice_index, size=fitted_size(analysis.volume.grid, LONGEST_PIXELS))
    draw = ImageDraw.Draw(picture)
    write_on(draw, (8, 6), NOT_FOR_DIAGNOSIS, anchor="la", size=20, ink=WARNING_INK)
    if not analysis.findings.lesions:
        write_on(draw, (8, 32), NO_LESION, anchor="la", size=20)
    _number_lesions(draw, picture.size, analysis, slice_index)
    return picture


def _build(
    material: ReportMaterial, picture_and_slice: tuple[int, int], *, context: ResultContext, uids: ResultUids
) -> SOPClass:
    number, k = picture_and_slice
    plan = ObjectPlan(
        kind="capture",
        sop_class_uid=SecondaryCaptureImageStorage,
        modality="OT",
        title="AI key slices",
        instance_number=number,
    )
    made = new_object(plan, material, context=context, uids=uids)
    # Without a body part the Laterality of the series would be required (PS3.3 C.7.3.1).
    made.BodyPartExamined = "CHEST"
    made.ConversionType = "WSD"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.DerivationDescription = DERIVATION
    made.SourceImageSequence = image_references(material.images, [k])
    made.PatientOrientation = _patient_orientation(material.analysis.volume.grid)
    made.BurnedInAnnotation = "YES"
    made.RecognizableVisualFeatures = "NO"
    _add_compression(made, material.images.datasets[k])
    _add_pixels(made, np.asarray(draw_capture(material.analysis, k)))
    return made


def _add_compression(made: Dataset, source: Dataset) -> None:
    """What has lost something stays so, whatever is made of it (PS3.3 C.7.6.1.1.5)."""
    if not was_compressed_with_loss(source):
        made.LossyImageCompression = NOT_LOSSY
        return
    made.LossyImageCompression = LOSSY
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if source.get(keyword):
            made[keyword] = source[keyword]


def _number_lesions(draw: ImageDraw.ImageDraw, size: tuple[int, int], analysis: Analysis, slice_index: int) -> None:
    """The number of each lesion at its upper right corner."""
    labels = analysis.lesion_labels[slice_index]
    scale = size[0] / labels.shape[1], size[1] / labels.shape[0]
    present = set(np.unique(labels).tolist())
    for lesion in analysis.findings.lesions:
        if lesion.number in present:
            rows, columns = np.nonzero(labels == lesion.number)
            place = (int((columns.max() + 1) * scale[0]) + 2, int(rows.min() * scale[1]))
            write_on(draw, place, str(lesion.number), anchor="lb", size=18, ink=LESION_RGB[lesion.kind])


def _patient_orientation(grid: Grid) -> list[str]:
    """Where rows and columns lead to (PS3.3 C.7.6.1.1.1)."""
    affine = grid.affine_lps_from_kji
    return [direction_letter(affine[:3, 2]), direction_letter(affine[:3, 1])]


def _add_pixels(made: Dataset, pixels: np.ndarray) -> None:
    """(rows, columns, 3), 8 bits each (PS3.3 C.7.6.3)."""
    made.SamplesPerPixel = 3
    made.PhotometricInterpretation = "RGB"
    made.PlanarConfiguration = 0
    made.Rows, made.Columns = pixels.shape[:2]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    data = np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB"
