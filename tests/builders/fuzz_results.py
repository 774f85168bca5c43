"""A fuzz target over the builder of results: hostile findings over source images with hostile headers."""

import atexit
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom

from builders.analysis import StudyPlan, build_analysis, build_context, used_prior
from dicom_node.results.errors import ResultsError
from dicom_node.results.findings_document import findings_bytes
from dicom_node.results.plan import ResultPlan
from dicom_node.results.write import check_analysis, dicom_contents
from pipeline.findings import Analysis, DroppedPrior

_MEMORY = Path("/dev/shm")
_CONTEXT = build_context(plan=ResultPlan(pdf=False, key_objects=True))
_NUMBERS = struct.Struct("<8d")
_TEXT_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Study:
    analysis: Analysis
    before: bytes
    """What stands before the data set in the file of the first slice."""
    header: bytes
    """The data set without pixels, in explicit VR little endian."""


def take_findings(data: bytes) -> None:
    """Eight numbers of the findings, a text of 32 bytes, then the header of the first source image."""
    numbers, text = data[: _NUMBERS.size], data[_NUMBERS.size : _NUMBERS.size + _TEXT_BYTES]
    study = _study()
    analysis = study.analysis
    analysis.volume.slice_headers[0].path.write_bytes(study.before + data[_NUMBERS.size + _TEXT_BYTES :])
    told = _told(analysis, numbers.ljust(_NUMBERS.size, b"\0"), text.decode("utf-8", "replace"))
    with suppress(ResultsError):
        check_analysis(told)
        made = dicom_contents(told, _CONTEXT)
        findings_bytes(told.findings, _CONTEXT)
        for content in made:
            read = pydicom.dcmread(BytesIO(content.data))
            assert content.dataset is not None
            assert read.SOPInstanceUID == content.dataset.SOPInstanceUID


def findings() -> list[bytes]:
    """Honest ones, and numbers that are none."""
    header = _study().header
    text = "Lunge rechts, groß".encode().ljust(_TEXT_BYTES)
    honest = (0.8, 12.5, 3.25, -540.0, 90.5, 4.5, 1.5, 0.93)
    infinite, nothing, large = (float("inf"),) * 8, (float("nan"),) * 8, (1e300,) * 8
    return [_NUMBERS.pack(*numbers) + text + header for numbers in (honest, infinite, nothing, large)]


def _told(analysis: Analysis, numbers: bytes, text: str) -> Analysis:
    score, involvement, volume, mean, deviation, share, prior, overlap = _NUMBERS.unpack(numbers)
    findings = analysis.findings
    first = replace(
        findings.lesions[0],
        score=score,
        volume_ml=volume,
        mean_hu=mean,
        sd_hu=deviation,
        share_of_lung_percent=share,
        prior_volume_ml=prior,
        tracking_id=text,
    )
    told = replace(
        findings,
        series_description=text,
        series_reason=text,
        patient_score=score,
        involvement_percent=involvement,
        lesions=(first, *findings.lesions[1:]),
        lungs=tuple(replace(lung, volume_ml=volume, involvement_percent=share) for lung in findings.lungs),
        priors_used=(replace(used_prior(), lung_overlap_dice=overlap, interval_days=prior),),
        priors_dropped=(DroppedPrior(study_instance_uid="2.25.9", reason=text),),
        qualifications=(text,),
    )
    return replace(analysis, findings=told)


@cache
def _study() -> _Study:
    """A small series, in memory where there is a file system for it; gone with the process."""
    folder = TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    atexit.register(folder.cleanup)
    analysis = build_analysis(Path(folder.name), StudyPlan(priors_used=(used_prior(),)))
    first = analysis.volume.slice_headers[0].path
    whole = first.read_bytes()
    # Pixel Data (7FE0,0010) comes last.
    pixels_at = whole.rindex(b"\xe0\x7f\x10\x00O")
    begins_at = whole.index(b"\x08\x00", 132)
    return _Study(analysis=analysis, before=whole[:begins_at], header=whole[begins_at:pixels_at])
