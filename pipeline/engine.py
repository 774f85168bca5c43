"""What finds lungs and lesions in one run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from torch import nn

from pipeline.detect import SpaceTimeDetector
from pipeline.findings import DEFAULT_POINT, Algorithm, ScoreCalibration, ScorePoint
from pipeline.lungs import NetworkLungSegmenter
from pipeline.model_pack import Calibration, ModelPack, PatientOperatingPoints, Thresholds
from pipeline.patient_score import PatientScoreWeights
from pipeline.plug_ins import PlugIn, PlugPoint, find_plug_in, load_lesion_detector, load_lung_segmenter
from pipeline.plug_points import Detection, LesionDetector, LungSegmenter, StudyOnGrid
from pipeline.precision import Precision, choose_precision, running_in
from pipeline.study import Grid, Int16Array, UInt8Array

Net = TypeVar("Net", bound=nn.Module)

ALGORITHM_NAME = "Space-Time-Net"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """Both plug-points with the numbers that belong to them."""

    segmenter: LungSegmenter
    detector: LesionDetector
    thresholds: Thresholds
    patient_score: PatientScoreWeights
    algorithm: Algorithm
    thickest_slice_spacing_mm: float = float("inf")
    """Beyond it the findings are qualified; of a plug-in it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What an engine is made of beside the model pack."""

    precision: Precision = Precision.AUTO
    """Of the pack's own networks."""
    lung_segmenter: str = ""
    """Name of a plug-in; empty is the pack's network."""
    lesion_detector: str = ""
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmenterInPrecision:
    """`LungSegmenter` whose networks run in one precision, always the same way."""

    inner: LungSegmenter
    dtype: torch.dtype
    device: torch.device

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`."""
        with running_in(self.dtype, self.device):
            return self.inner.segment(volume_hu, spacing_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectorInPrecision:
    """`LesionDetector` whose networks run in one precision, always the same way."""

    inner: LesionDetector
    dtype: torch.dtype
    device: torch.device

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """See `LesionDetector.detect`."""
        with running_in(self.dtype, self.device):
            return self.inner.detect(studies, grid, gaps_days)


def build_engine(pack: ModelPack, device: torch.device, parts: EngineParts | None = None) -> Engine:
    """The networks of a model pack on a device, or the plug-ins in their place.

    Raises:
        ModelPackError: The weights do not fit.
        PlugInError: A plug-in is not installed or cannot be loaded.
    """
    parts = parts or EngineParts()
    dtype = choose_precision(parts.precision, device, pack.bfloat16)
    lungs = find_plug_in(PlugPoint.LUNG_SEGMENTER, parts.lung_segmenter) if parts.lung_segmenter else None
    lesions = find_plug_in(PlugPoint.LESION_DETECTOR, parts.lesion_detector) if parts.lesion_detector else None
    return Engine(
        segmenter=load_lung_segmenter(lungs, device) if lungs else _pack_segmenter(pack, device, dtype),
        detector=load_lesion_detector(lesions, device) if lesions else _pack_detector(pack, device, dtype),
        thresholds=pack.thresholds,
        patient_score=pack.patient_score,
        algorithm=identify(pack, lungs, lesions),
        thickest_slice_spacing_mm=float("inf") if lesions else pack.contract.thickest_slice_spacing_mm,
    )


def identify(pack: ModelPack, lungs: PlugIn | None, lesions: PlugIn | None) -> Algorithm:
    """What results name as their origin: the pack, or what stands in the place of its parts.

    Calibration and operating points were measured with both networks of the pack, so a plug-in has none.
    """
    name, version = f"{ALGORITHM_NAME} {pack.name}", pack.version
    if lesions:
        name, version = f"{lesions.name} ({lesions.package})", lesions.version
    if lungs:
        name, version = f"{name} + {lungs.name}", f"{version} + {lungs.version}"
    return Algorithm(
        name=name,
        version=version,
        weights_sha256=pack.sha256,
        thresholds=asdict(pack.thresholds),
        synthetic_training_only=pack.synthetic_training_only and lesions is None,
        calibration=None if lungs or lesions else _calibration(pack.calibration),
        operating_points=() if lungs or lesions else _points(pack.operating_points),
    )


def _calibration(calibration: Calibration) -> ScoreCalibration | None:
    if not calibration.is_calibrated:
        return None
    return ScoreCalibration(
        population=calibration.population, calibrated_on=calibration.calibrated_on, studies=calibration.studies
    )


def _points(points: PatientOperatingPoints | None) -> tuple[ScorePoint, ...]:
    if points is None:
        return ()
    named = {
        DEFAULT_POINT: points.default,
        "sensitivity_95": points.sensitivity_95,
        "specificity_95": points.specificity_95,
    }
    return tuple(ScorePoint(name=name, **asdict(point)) for name, point in named.items() if point is not None)


def _channels_last(net: Net) -> Net:
    """The same with its weights laid out so that convolutions take less time: the lung network half, on a CPU."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch has no type for it


def _pack_segmenter(pack: ModelPack, device: torch.device, dtype: torch.dtype) -> LungSegmenter:
    net = _channels_last(pack.load_lung_net(device))
    return SegmenterInPrecision(inner=NetworkLungSegmenter(net, device), dtype=dtype, device=device)


def _pack_detector(pack: ModelPack, device: torch.device, dtype: torch.dtype) -> LesionDetector:
    net = _channels_last(pack.load_space_time_net(device))
    detector = SpaceTimeDetector(net, contract=pack.contract, thresholds=pack.thresholds, device=device)
    return DetectorInPrecision(inner=detector, dtype=dtype, device=device)
