"""A built study whose left lung was not found."""

from dataclasses import replace

import numpy as np

from pipeline.burden import involvement_percent, lung_figures
from pipeline.findings import Analysis, Side
from pipeline.study import RIGHT_LUNG


def without_left_lung(analysis: Analysis) -> Analysis:
    """The same study with what its right lung has."""
    lung_mask = np.where(analysis.lung_mask == RIGHT_LUNG, RIGHT_LUNG, 0).astype(np.uint8)
    kept = [lesion for lesion in analysis.findings.lesions if lesion.side is Side.RIGHT]
    labels = np.zeros_like(analysis.lesion_labels)
    for number, lesion in enumerate(kept, start=1):
        labels[analysis.lesion_labels == lesion.number] = number
    lungs = lung_figures(lung_mask, labels, analysis.volume.grid.voxel_volume_ml)
    findings = replace(
        analysis.findings,
        lungs=lungs,
        involvement_percent=involvement_percent(lungs),
        lesions=tuple(replace(lesion, number=number) for number, lesion in enumerate(kept, start=1)),
    )
    return replace(analysis, lung_mask=lung_mask, lesion_labels=labels, findings=findings)
