"""Numbers of the report, each with its name and unit (TID 300 of PS3.16)."""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import Measurement
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.areas import Attenuation
from pipeline.findings import Findings, Lesion, LungFigures

LITTLE_PERCENT: Final = 0.1
"""Below it a hundredth is less than two digits that count."""


def lesion_numbers(lesion: Lesion) -> Sequence[Measurement]:
    """Size, change, share, density and score of a lesion; OHIF shows the first five."""
    prior_ml = lesion.prior_volume_ml
    return [
        _volume(codes.VOLUME, lesion.volume_ml),
        *_change_numbers(lesion),
        _percent(codes.SHARE_OF_LUNG, lesion.share_of_lung_percent),
        _attenuation(codes.MEAN_ATTENUATION, lesion.mean_hu),
        _attenuation(codes.SD_ATTENUATION, lesion.sd_hu),
        *([] if prior_ml is None else [_volume(codes.PRIOR_VOLUME, prior_ml)]),
        _score(codes.LESION_SCORE, lesion.score),
    ]


def lung_numbers(lung: LungFigures, attenuation: Attenuation) -> Sequence[Measurement]:
    """Size, density and involvement of a lung."""
    share = lung.involvement_percent
    return [
        _volume(codes.VOLUME, lung.volume_ml),
        _attenuation(codes.MEAN_ATTENUATION, attenuation.mean_hu),
        _attenuation(codes.SD_ATTENUATION, attenuation.sd_hu),
        _volume(codes.LESION_VOLUME, lung.lesion_volume_ml),
        *([] if share is None else [_percent(codes.INVOLVEMENT, share)]),
    ]


def summary_numbers(findings: Findings) -> Sequence[Measurement]:
    """Involvement of the lungs together and of each that was found, the patient score under the name that says what it is, and the lesions.

    OHIF shows the first five.
    """
    calibrated = findings.algorithm.calibration is not None
    return [
        _percent(codes.INVOLVEMENT, findings.involvement_percent),
        *(
            _percent(codes.LUNG_INVOLVEMENT[lung.side], lung.involvement_percent)
            for lung in findings.lungs
            if lung.involvement_percent is not None
        ),
        _score(codes.PATIENT_PROBABILITY if calibrated else codes.PATIENT_SCORE, findings.patient_score),
        _count(codes.LESION_COUNT, len(findings.lesions)),
        _volume(codes.LESION_VOLUME, sum(lung.lesion_volume_ml for lung in findings.lungs)),
    ]


def _change_numbers(lesion: Lesion) -> Sequence[Measurement]:
    """Nothing without a prior volume; no percentage of nothing."""
    prior_ml = lesion.prior_volume_ml
    if prior_ml is None:
        return []
    change_ml = lesion.volume_ml - prior_ml
    numbers = [_volume(codes.VOLUME_CHANGE, change_ml)]
    if prior_ml > 0:
        numbers.append(_percent(codes.RELATIVE_VOLUME_CHANGE, 100.0 * change_ml / prior_ml))
    return numbers


def _count(name: Code, count: int) -> Measurement:
    """A whole number without the decimal point that highdicom writes."""
    measurement = Measurement(name=name, value=count, unit=codes.LESIONS)
    measurement[0].MeasuredValueSequence[0].NumericValue = str(count)
    return measurement


def _volume(name: Code, volume_ml: float) -> Measurement:
    return Measurement(name=name, value=round(float(volume_ml), 3), unit=codes.CUBIC_CENTIMETER)


def _attenuation(name: Code, hounsfield: float) -> Measurement:
    return Measurement(name=name, value=round(float(hounsfield), 1), unit=codes.HOUNSFIELD_UNIT)


def _percent(name: Code, percent: float) -> Measurement:
    """To a hundredth, or two digits that count where that says less: what is there is never 0."""
    rounded = round(float(percent), 2) if abs(percent) >= LITTLE_PERCENT else float(f"{percent:.2g}")
    return Measurement(name=name, value=rounded, unit=codes.PERCENT)


def _score(name: Code, score: float) -> Measurement:
    return Measurement(name=name, value=round(float(score), 3), unit=codes.ZERO_TO_ONE)
