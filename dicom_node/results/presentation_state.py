"""Outlines and names of lesions over their key images (Grayscale Softcopy Presentation State, PS3.3 A.33.1)."""

from typing import Final

import numpy as np
from highdicom import ModalityLUTTransformation, RescaleTypeValues
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextObject,
)
from pydicom.dataset import Dataset
from scipy import ndimage

from dicom_node.results.common import common_arguments, member_of
from dicom_node.results.context import ResultContext
from dicom_node.results.contour import outer_contour
from dicom_node.results.derived_object import instances_of, name_frame
from dicom_node.results.encode import make_reproducible, stamp_for
from dicom_node.results.key_images import key_images
from dicom_node.results.preview import NOT_FOR_DIAGNOSIS, WINDOW_HU
from dicom_node.results.seg import KIND_NAME
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids
from pipeline.findings import Lesion
from pipeline.study import BoolArray

LAYER: Final = GraphicLayer(layer_name="LESIONS", order=1, description="Lesions that an algorithm found")

TEXT_HEIGHT_PIXELS: Final = 14.0
CHARACTER_PIXELS: Final = 8.0
"""Of the box that a viewer writes a text into."""


def build_presentation_state(material: ReportMaterial, *, context: ResultContext, uids: ResultUids) -> Dataset:
    """The state; there must be a lesion.

    It has one modality transformation, so where images differ in theirs, it is of those that are like the first.
    """
    images = material.images.datasets
    rescale = _rescale(images[key_images(material.analysis)[0]])
    slices = [k for k in key_images(material.analysis) if _rescale(images[k]) == rescale]
    offset = material.images.timezone_offset
    low, high = WINDOW_HU
    made = GrayscaleSoftcopyPresentationState(
        referenced_images=instances_of(material.images, slices),
        content_label="AI_LESIONS",
        content_description=NOT_FOR_DIAGNOSIS,
        graphic_layers=[LAYER],
        graphic_annotations=[_annotation(material, k) for k in slices],
        modality_lut_transformation=ModalityLUTTransformation(
            rescale_slope=rescale[0], rescale_intercept=rescale[1], rescale_type=RescaleTypeValues.HU
        ),
        voi_lut_transformations=[SoftcopyVOILUTTransformation(window_center=(low + high) / 2, window_width=high - low)],
        **common_arguments(
            member_of("presentation_state", "AI outlines"),
            material.analysis.findings.algorithm,
            timezone_offset=offset,
            context=context,
            uids=uids,
        ),
    )
    made.copy_patient_and_study_information(material.images.first)
    # Without a body part the Laterality of the series would be required (PS3.3 C.7.3.1).
    made.BodyPartExamined = "CHEST"
    stamp = stamp_for(context, timezone_offset=offset, uids=uids)
    make_reproducible(made, stamp, kind="presentation_state")
    # Those of content are no attributes of this IOD.
    del made.ContentDate, made.ContentTime
    made.PresentationCreationDate = f"{stamp.moment:%Y%m%d}"
    made.PresentationCreationTime = f"{stamp.moment:%H%M%S.%f}"
    _say_size_of_pixels(made, images[slices[0]])
    return made


def _say_size_of_pixels(state: Dataset, image: Dataset) -> None:
    """Presentation Pixel Spacing of the displayed area (PS3.3 C.10.4), so that pixels are shown as wide as they are.

    The aspect ratio that highdicom writes says of all that they are square, and stands where there is no spacing alone.
    """
    for area in state.DisplayedAreaSelectionSequence:
        area.pop("PresentationPixelAspectRatio", None)
        area.add_new("PresentationPixelSpacing", "DS", list(image.PixelSpacing))


def _rescale(image: Dataset) -> tuple[float, float]:
    """Slope and intercept from stored values to HU (PS3.3 C.8.2.1, CT Image Module: required)."""
    return float(image.get("RescaleSlope") or 1.0), float(image.get("RescaleIntercept") or 0.0)


def _annotation(material: ReportMaterial, k: int) -> GraphicAnnotation:
    """Every lesion that a slice shows."""
    labels = material.analysis.lesion_labels[k]
    present = set(np.unique(labels).tolist())
    lesions = [lesion for lesion in material.analysis.findings.lesions if lesion.number in present]
    annotation = GraphicAnnotation(
        referenced_images=[material.images.datasets[k]],
        graphic_layer=LAYER,
        graphic_objects=[part for lesion in lesions for part in _outlines(labels == lesion.number, lesion)],
        text_objects=[_text(labels == lesion.number, lesion) for lesion in lesions],
    )
    name_frame(annotation.ReferencedImageSequence[0], material.images.reference(k).frame_number)
    return annotation


def _outlines(mask: BoolArray, lesion: Lesion) -> list[GraphicObject]:
    """One for each part of a lesion, in pixels as PS3.3 C.10.5.1.2 counts them."""
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    return [
        GraphicObject(
            graphic_type="POLYLINE",
            graphic_data=outer_contour(parts == number),
            units="PIXEL",
            tracking_id=lesion.tracking_id,
            tracking_uid=lesion.tracking_uid,
        )
        for number in range(1, count + 1)
    ]


def _text(mask: BoolArray, lesion: Lesion) -> TextObject:
    """Number, kind and volume beside a lesion, inside the image."""
    text = f"{lesion.number} {KIND_NAME[lesion.kind]} {lesion.volume_ml:.1f} ml"
    rows, columns = np.nonzero(mask)
    width = min(CHARACTER_PIXELS * len(text), mask.shape[1] - 1.0)
    height = min(TEXT_HEIGHT_PIXELS, mask.shape[0] - 1.0)
    left = float(np.clip(columns.max() + 2.0, 0.0, mask.shape[1] - width))
    top = float(np.clip(rows.min() - height, 0.0, mask.shape[0] - height))
    return TextObject(text_value=text, units="PIXEL", bounding_box=(left, top, left + width, top + height))
