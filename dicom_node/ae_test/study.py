"""The study of a phantom that calls itself a test, with the truth about it in the place of an analysis."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread

from dicom_node.results.encode import long_string
from pipeline.engine import Engine
from pipeline.findings import Algorithm, Analysis
from pipeline.model_pack import Thresholds
from pipeline.patient_score import PatientScoreWeights
from pipeline.phantom import Course, Identity, PhantomStudy, Scan, StudyLabel, build_patient, render_study, write_dicom
from pipeline.phantom.lesions import CONSOLIDATION
from pipeline.plug_points import Detection, StudyDetection, StudyOnGrid
from pipeline.run import analyse_with
from pipeline.study import Grid, Int16Array, StudyFiles, UInt8Array

PATIENT_NAME = "DICOM-NODE^TEST"
PATIENT_ID = "DICOM-NODE-TEST"
STUDY_DESCRIPTION = "dicom-node test, please delete"
LABEL = "TEST"
"""Every series description begins with it."""

_SCAN = Scan(matrix=128, slice_spacing_mm=10.0)
"""The whole lungs in about 30 small images: less would be refused as no chest."""
_SEED, _COURSE, _DAY = 7, Course.ADVANCED, 10.0
"""A patient with lesions of both kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledStudy:
    """The CT images on disk, with what results are made of."""

    study_instance_uid: str
    made_at: datetime
    images: tuple[Path, ...]
    analysis: Analysis


def make_labelled_study(folder: Path, *, uid_seed: str, made_at: datetime) -> LabelledStudy:
    """Scan a phantom and say what is true of it; the network of no model pack takes part.

    Args:
        folder: Gets the images.
        uid_seed: Another one gives another study.
        made_at: Aware; date and time of the study.
    """
    truth = render_study(build_patient(_SEED, course=_COURSE), _DAY, scan=_SCAN)
    identity = Identity(patient_id=PATIENT_ID, patient_name=PATIENT_NAME)
    label = StudyLabel(identity=identity, study_date_time=made_at, uid_seed=uid_seed)
    images = write_dicom(truth, folder, label=label)
    for path in images:
        _name_the_study(path)
    label_as_test(images)
    files = StudyFiles(study_instance_uid=label.study_uid, acquired_at=made_at, paths=images)
    analysis = analyse_with(_truth_engine(truth), files, (), on_progress=lambda _stage, _fraction: None)
    return LabelledStudy(study_instance_uid=label.study_uid, made_at=made_at, images=images, analysis=analysis)


def label_as_test(paths: Sequence[Path]) -> None:
    """Put the label before the series description of each DICOM file."""
    for path in paths:
        dataset = dcmread(path)
        dataset.SeriesDescription = long_string(f"{LABEL} {dataset.get('SeriesDescription', '')}".strip())
        dataset.save_as(path, enforce_file_format=True)


def _name_the_study(path: Path) -> None:
    """Results copy the description of the study from its images."""
    dataset = dcmread(path)
    dataset.StudyDescription = STUDY_DESCRIPTION
    dataset.save_as(path, enforce_file_format=True)


def _truth_engine(truth: PhantomStudy) -> Engine:
    """The engine that knows one study, in patient order."""
    return Engine(
        segmenter=_TruthSegmenter(truth),
        detector=_TruthDetector(truth),
        thresholds=Thresholds(
            lesion_probability=0.5,
            slice_probability=0.5,
            box_score=0.3,
            box_overlap=0.5,
            smallest_lesion_ml=0.1,
            patient_score=0.5,
        ),
        patient_score=PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=0.5),
        algorithm=Algorithm(
            name="dicom-node test set",
            version="1",
            weights_sha256="0" * 64,
            thresholds={},
            synthetic_training_only=True,
        ),
    )


class _TruthSegmenter:
    """`LungSegmenter`: the lungs of the phantom."""

    def __init__(self, truth: PhantomStudy) -> None:
        self._truth = truth

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`."""
        return self._truth.lung_mask


class _TruthDetector:
    """`LesionDetector`: the lesions of the phantom."""

    def __init__(self, truth: PhantomStudy) -> None:
        self._truth = truth

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """See `LesionDetector.detect`."""
        kind = self._truth.lesion_kind
        found = StudyDetection(
            lesion_probability=(kind > 0).astype(np.float32),
            consolidation_probability=(kind == CONSOLIDATION).astype(np.float32),
            slice_findings=(),
            slice_logits=np.where((kind > 0).any(axis=(1, 2)), 4.0, -4.0).astype(np.float32),
        )
        return Detection(grid=grid, studies=(found,) * len(studies))
