"""Headers of the files of a study, without their pixels."""

import math
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, AllTransferSyntaxes

from pipeline.frames import PER_FRAME, SHARED, frame_count, frame_headers, is_multi_frame_ct
from pipeline.image_header import ImageHeader, StudyHeaders, UnreadableFile
from pipeline.inflate import InflatesTooFarError, check_inflated_size
from pipeline.study import SliceHeader
from pipeline.syntaxes import is_lossy_syntax
from pipeline.tolerance import tolerant_pydicom

FOREIGN_READ_ERRORS = (
    InvalidDicomError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    BytesLengthException,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise on damaged input."""

_TAGS = [
    "AcquisitionDate",
    "AcquisitionDateTime",
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "BodyPartExamined",
    "BurnedInAnnotation",
    "Columns",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "DerivationDescription",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "InstanceNumber",
    "LossyImageCompression",
    "Modality",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelSpacing",
    "ProtocolName",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SliceThickness",
    "StudyDescription",
]

_FRAME_TAGS = [*_TAGS, SHARED, PER_FRAME]

_LARGEST_SLOPE = 100.0
"""HU between neighbouring stored values; CT has 1, rarely 2 or less than 1, and coarser steps tell no tissues apart."""

_FARTHEST_MM = 1e6
"""No scanner measures a kilometre; products of numbers without a limit are no numbers."""


def read_headers(paths: Iterable[Path]) -> StudyHeaders:
    """Headers of all files; what cannot be read is named and does not stop the others."""
    instances: dict[tuple[str, str], list[tuple[ImageHeader, ...]]] = {}
    unreadable: list[UnreadableFile] = []
    with tolerant_pydicom():
        for path in sorted(paths):
            found = _read(path)
            if isinstance(found, UnreadableFile):
                unreadable.append(found)
            else:
                _add(instances.setdefault((found[0].sop_instance_uid, found[0].series_instance_uid), []), found)
    return StudyHeaders(
        images=tuple(image for uids in sorted(instances) for images in instances[uids] for image in images),
        unreadable=tuple(sorted(unreadable, key=lambda file: (file.path.name, str(file.path)))),
    )


def _add(known: list[tuple[ImageHeader, ...]], found: tuple[ImageHeader, ...]) -> None:
    """Add a file to those of the same UIDs, unless it is a copy of one of them."""
    if not any(_what_it_says(found) == _what_it_says(one) for one in known):
        known.append(found)


def _what_it_says(images: Sequence[ImageHeader]) -> list[ImageHeader]:
    """Without what a copy of a file may have otherwise: its path and how its pixels are encoded."""
    nowhere = Path()
    return [
        replace(
            image,
            path=nowhere,
            transfer_syntax_uid="",
            is_lossy=False,
            is_called_lossless=False,
            geometry=replace(image.geometry, path=nowhere) if image.geometry else None,
        )
        for image in images
    ]


def _read(path: Path) -> tuple[ImageHeader, ...] | UnreadableFile:
    """The image of a file, or the frames of it."""
    try:
        check_inflated_size(path)
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        if is_multi_frame_ct(dataset):
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_FRAME_TAGS)
    except InvalidDicomError:
        return UnreadableFile(path=path, reason="not a DICOM file", is_dicom=False)
    except InflatesTooFarError as error:
        return UnreadableFile(path=path, reason=str(error), is_dicom=True)
    except FOREIGN_READ_ERRORS:
        return UnreadableFile(path=path, reason="damaged header", is_dicom=True)
    return _images(dataset, path)


def _images(dataset: FileDataset, path: Path) -> tuple[ImageHeader, ...] | UnreadableFile:
    if not _text(dataset, "SOPInstanceUID") or not _text(dataset, "SeriesInstanceUID"):
        return UnreadableFile(path=path, reason="cut off in its header", is_dicom=True)
    if _is_cut_off(dataset, path):
        return UnreadableFile(path=path, reason="cut off in its pixels", is_dicom=True)
    syntax = transfer_syntax_uid(dataset)
    if is_multi_frame_ct(dataset):
        return _frames(dataset, path, syntax)
    return (_header(dataset, path, syntax),)


def transfer_syntax_uid(dataset: FileDataset) -> str:
    """As the file meta information names it; empty where it does not."""
    return str(dataset.file_meta.get("TransferSyntaxUID", ""))


def _frames(dataset: FileDataset, path: Path, syntax: str) -> tuple[ImageHeader, ...] | UnreadableFile:
    named = _integer(dataset, "NumberOfFrames") or 0
    try:
        described = frame_count(dataset)
        if described != named or named < 1:
            reason = f"names {named} frames, describes {described}"
            return UnreadableFile(path=path, reason=reason, is_dicom=True)
        frames = enumerate(frame_headers(dataset), start=1)
        return tuple(_header(frame, path, syntax, frame_number=number) for number, frame in frames)
    except FOREIGN_READ_ERRORS:
        return UnreadableFile(path=path, reason="damaged description of its frames", is_dicom=True)


def _header(dataset: Dataset, path: Path, syntax: str, *, frame_number: int | None = None) -> ImageHeader:
    return ImageHeader(
        path=path,
        sop_class_uid=_text(dataset, "SOPClassUID"),
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        series_instance_uid=_text(dataset, "SeriesInstanceUID"),
        series_number=_integer(dataset, "SeriesNumber"),
        series_description=_text(dataset, "SeriesDescription"),
        modality=_text(dataset, "Modality").upper(),
        image_type=tuple(value.upper() for value in _texts(dataset, "ImageType")),
        derivation=_text(dataset, "DerivationDescription").upper(),
        kernel=next(iter(_texts(dataset, "ConvolutionKernel")), ""),
        contrast_agent=_text(dataset, "ContrastBolusAgent"),
        region=_region(dataset),
        slice_thickness_mm=positive_number(dataset, "SliceThickness"),
        acquisition_number=_integer(dataset, "AcquisitionNumber"),
        stack_id=_text(dataset, "StackID"),
        temporal_position=_integer(dataset, "TemporalPositionIndex"),
        acquired=_acquired(dataset),
        transfer_syntax_uid=syntax,
        is_lossy=_text(dataset, "LossyImageCompression") == "01" or is_lossy_syntax(syntax),
        is_called_lossless=_text(dataset, "LossyImageCompression") == "00",
        is_burned_in=_text(dataset, "BurnedInAnnotation").upper() == "YES",
        frames=_integer(dataset, "NumberOfFrames") or 1,
        is_in_hu=_is_in_hu(dataset),
        value_range_hu=_value_range_hu(dataset),
        is_greyscale=_text(dataset, "PhotometricInterpretation") == "MONOCHROME2",
        geometry=_geometry(dataset, path, frame_number),
    )


def _region(dataset: Dataset) -> tuple[str, ...]:
    names = ("SeriesDescription", "BodyPartExamined", "ProtocolName", "StudyDescription")
    return tuple(_text(dataset, name).upper() for name in names)


def _geometry(dataset: Dataset, path: Path, frame_number: int | None) -> SliceHeader | None:
    spacing = _numbers(dataset, "PixelSpacing", 2)
    orientation = _numbers(dataset, "ImageOrientationPatient", 6)
    position = _numbers(dataset, "ImagePositionPatient", 3)
    rows, columns = _integer(dataset, "Rows"), _integer(dataset, "Columns")
    if not (spacing and orientation and position and rows and columns) or min(spacing) <= 0:
        return None
    if max(map(abs, (*spacing, *orientation, *position))) > _FARTHEST_MM:
        return None
    return SliceHeader(
        path=path,
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        frame_number=frame_number,
        instance_number=_integer(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        pixel_spacing_mm=(spacing[0], spacing[1]),
        image_orientation=orientation,
        image_position_mm=(position[0], position[1], position[2]),
    )


def _is_cut_off(dataset: FileDataset, path: Path) -> bool:
    """Whether the file is shorter than its uncompressed pixels alone."""
    syntax = UID(str(getattr(dataset.file_meta, "TransferSyntaxUID", "")))
    if syntax not in AllTransferSyntaxes or syntax.is_compressed or syntax.is_deflated:
        return False
    return path.stat().st_size < native_pixel_bytes(dataset)


def native_pixel_bytes(dataset: Dataset) -> int:
    """How long the pixels of all frames are, uncompressed; 0 where the header does not say."""
    sizes = [_integer(dataset, name) or 0 for name in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel")]
    return math.prod(sizes) * (_integer(dataset, "NumberOfFrames") or 1) // 8


def _is_in_hu(dataset: Dataset) -> bool:
    slope, intercept = (_numbers(dataset, name, 1) for name in ("RescaleSlope", "RescaleIntercept"))
    has_rescale = bool(slope and intercept) and 0 < slope[0] <= _LARGEST_SLOPE and _is_right_aligned(dataset)
    return has_rescale and _text(dataset, "RescaleType").upper() in {"", "HU", "HU_MOD", "US"}


def _is_right_aligned(dataset: Dataset) -> bool:
    """Whether the High Bit is one less than Bits Stored (PS3.5 8.1.1); decoders read the pixels as if it were."""
    high, bits = _integer(dataset, "HighBit"), _integer(dataset, "BitsStored")
    return high is None or bits is None or high == bits - 1


def _value_range_hu(dataset: Dataset) -> float:
    slope, bits = _numbers(dataset, "RescaleSlope", 1), _integer(dataset, "BitsStored")
    return abs(slope[0]) * float(2**bits - 1) if slope and bits and 0 < bits <= 32 else 0.0


def _acquired(dataset: Dataset) -> str:
    date_and_time = _text(dataset, "AcquisitionDate") + _text(dataset, "AcquisitionTime")
    return _text(dataset, "AcquisitionDateTime") or date_and_time


def positive_number(dataset: Dataset, name: str) -> float | None:
    """What an element says in one finite number above zero; None where it is missing or says anything else."""
    values = _numbers(dataset, name, 1)
    return values[0] if values and values[0] > 0 else None


def _texts(dataset: Dataset, name: str) -> tuple[str, ...]:
    """All values; none where the element is missing or makes no sense."""
    try:
        value = dataset.get(name)
    except FOREIGN_READ_ERRORS:
        return ()
    if value is None or isinstance(value, bytes):
        return ()
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return tuple(str(one).strip().strip("\0") for one in values)


def _text(dataset: Dataset, name: str) -> str:
    return " ".join(_texts(dataset, name)).strip()


def _numbers(dataset: Dataset, name: str, count: int) -> tuple[float, ...]:
    """Exactly `count` finite numbers, or none."""
    texts = _texts(dataset, name)
    if len(texts) != count or not all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) for text in texts):
        return ()
    values = tuple(float(text) for text in texts)
    return values if all(map(math.isfinite, values)) else ()


def _integer(dataset: Dataset, name: str) -> int | None:
    values = _numbers(dataset, name, 1)
    return int(values[0]) if values else None
