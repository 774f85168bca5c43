"""The same segmentations and report as highdicom alone makes them: every frame and every reference is its own work."""

import numpy as np
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset

from dicom_node.results.context import ResultContext
from dicom_node.results.encode import make_reproducible, stamp_for
from dicom_node.results.plan import SrClass
from dicom_node.results.seg import SegmentPlan, plan_lesions, plan_lungs, segmentation_arguments
from dicom_node.results.source import SourceImages, read_source_images
from dicom_node.results.sr import SR_DOCUMENT, build_content, report_arguments
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids, result_uids
from pipeline.findings import Analysis


def plain_results(analysis: Analysis, context: ResultContext, sr_class: SrClass) -> dict[str, Dataset]:
    """Data sets by the names of the files that they belong in."""
    images, uids = read_source_images(analysis.volume), result_uids(analysis.findings, context)
    lungs = plain_segmentation(plan_lungs(analysis, images, context), images, context=context, uids=uids)
    lesions = None
    if analysis.findings.lesions:
        lesions = plain_segmentation(plan_lesions(analysis, context), images, context=context, uids=uids)
    material = ReportMaterial(
        analysis=analysis,
        images=images,
        lungs_segmentation=lungs,
        lesions_segmentation=lesions,
        manufacturer=context.manufacturer,
    )
    report = SR_DOCUMENT[sr_class](
        evidence=[*images.datasets, lungs, *([lesions] if lesions else [])],
        content=build_content(material, sr_class, context),
        **report_arguments(material, sr_class, context=context, uids=uids),
    )
    make_reproducible(report, stamp_for(context, timezone_offset=images.timezone_offset, uids=uids), kind="sr")
    named = {"sr.dcm": report, "seg-lungs.dcm": lungs, "seg-lesions.dcm": lesions}
    return {name: dataset for name, dataset in named.items() if dataset is not None}


def plain_segmentation(
    plan: SegmentPlan, images: SourceImages, *, context: ResultContext, uids: ResultUids
) -> Segmentation:
    """All images and a mask of segment numbers, handed to highdicom."""
    numbers = np.zeros(plan.voxels.labels.shape, np.uint8 if len(plan.segments) < 256 else np.uint16)
    for number, value in enumerate(plan.voxels.values, start=1):
        numbers[plan.voxels.labels == value] = number
    segmentation = Segmentation(
        source_images=images.datasets,
        pixel_array=numbers,
        **segmentation_arguments(plan, images, context=context, uids=uids),
    )
    stamp = stamp_for(context, timezone_offset=images.timezone_offset, uids=uids)
    make_reproducible(segmentation, stamp, kind=plan.kind)
    return segmentation
