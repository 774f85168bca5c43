"""The volume of a chosen series, in HU on the grid it was acquired on."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.processing import apply_rescale
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.uid import RLELossless

from pipeline.codestreams import has_whole_codestreams
from pipeline.errors import UnreadableStudyError
from pipeline.frames import frame_headers, is_multi_frame_ct
from pipeline.read import FOREIGN_READ_ERRORS, native_pixel_bytes
from pipeline.stack import build_stack, slice_normal, tilt_degrees
from pipeline.study import AIR_HU, BoolArray, Float64Array, Grid, Int16Array, SeriesChoice, SliceHeader, Volume
from pipeline.tolerance import tolerant_pydicom

LONGEST_IMAGE_BYTES = 2 * 1024**2
"""Pixels of one slice of 1024 x 1024; more are of many frames."""

_INT16_MAX = int(np.iinfo(np.int16).max)


def read_volume(choice: SeriesChoice) -> Volume:
    """The chosen series as a volume.

    Args:
        choice: Its slices are sorted along the normal and evenly spaced, as `choose_series` leaves them.

    Raises:
        UnreadableStudyError: The pixels of a file cannot be decoded or do not fit; the reason names the file.
    """
    headers = choice.slice_headers
    volume_hu = np.empty((len(headers), headers[0].rows, headers[0].columns), dtype=np.int16)
    with tolerant_pydicom():
        for path, places in _places_by_file(headers).items():
            _read_slices(path, places, volume_hu)
    return Volume(
        volume_hu=volume_hu,
        grid=Grid(shape=(len(headers), headers[0].rows, headers[0].columns), affine_lps_from_kji=_affine(headers)),
        slice_headers=headers,
        qualifications=choice.qualifications,
    )


def pixel_digests(headers: Sequence[SliceHeader]) -> dict[SliceHeader, bytes]:
    """SHA-256 of the values in HU of each slice: equal where the pixels are.

    Raises:
        UnreadableStudyError: The pixels of a file cannot be decoded; the reason names the file.
    """
    digests: dict[SliceHeader, bytes] = {}
    by_path: dict[Path, list[SliceHeader]] = {}
    for header in headers:
        by_path.setdefault(header.path, []).append(header)
    with tolerant_pydicom():
        for path, in_file in by_path.items():
            slices_hu = np.empty((len(in_file), in_file[0].rows, in_file[0].columns), dtype=np.int16)
            _read_slices(path, {header.frame_number or 1: k for k, header in enumerate(in_file)}, slices_hu)
            digests |= {
                header: hashlib.sha256(slice_hu.tobytes()).digest()
                for header, slice_hu in zip(in_file, slices_hu, strict=True)
            }
    return digests


def _affine(headers: Sequence[SliceHeader]) -> Float64Array:
    """(k, j, i, 1) to LPS in mm (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1).

    The step along k is the mean one, along the normal; of slices that lean, along the line that they lie on.
    """
    first, last = headers[0], headers[-1]
    row, column = np.array(first.image_orientation[:3]), np.array(first.image_orientation[3:])
    between_rows_mm, between_columns_mm = first.pixel_spacing_mm
    way_mm = np.array(last.image_position_mm) - np.array(first.image_position_mm)
    if not tilt_degrees(build_stack(headers)):
        way_mm = slice_normal(first) * float(way_mm @ slice_normal(first))
    affine = np.eye(4)
    affine[:3, 0] = way_mm / (len(headers) - 1)
    affine[:3, 1] = column * between_rows_mm
    affine[:3, 2] = row * between_columns_mm
    affine[:3, 3] = first.image_position_mm
    return affine


def read_slice(path: Path, frame_number: int | None) -> Int16Array:
    """One slice in HU (j, i), for people who look at it.

    Args:
        path: A CT image.
        frame_number: From 1; None for an image of one frame.

    Raises:
        UnreadableStudyError: The file is gone, damaged, or has fewer frames.
    """
    index = (frame_number or 1) - 1
    try:
        with tolerant_pydicom():
            dataset, source = _opened(path)
            header = next(islice(_headers(dataset), index, None), None)
            if header is None:
                raise _unreadable(path, "it holds fewer frames than its header says")
            words = pixel_array(source, index=index, raw=True, **_decoding(dataset))
            return _hounsfield(words, header, unused_bits=_unused_bits(dataset))
    except FOREIGN_READ_ERRORS as exc:
        raise _unreadable(path, "its pixels are damaged or cut off") from exc


def _places_by_file(headers: Sequence[SliceHeader]) -> dict[Path, dict[int, int]]:
    """For each file the k that each wanted frame goes to; a single-frame image is frame 1."""
    places: dict[Path, dict[int, int]] = {}
    for k, header in enumerate(headers):
        places.setdefault(header.path, {})[header.frame_number or 1] = k
    return places


def _read_slices(path: Path, places: dict[int, int], volume_hu: Int16Array) -> None:
    """Decode one file, a frame at a time, into the slices of the volume that it holds."""
    missing = dict(places)
    try:
        dataset, source = _opened(path)
        frames = zip(iter_pixels(source, raw=True, **_decoding(dataset)), _headers(dataset), strict=True)
        for number, (words, header) in enumerate(frames, start=1):
            if number not in missing:
                continue
            values = _hounsfield(words, header, unused_bits=_unused_bits(dataset))
            if values.shape != volume_hu.shape[1:]:
                raise _unreadable(path, "its pixels are not of the size that its header says")
            volume_hu[missing.pop(number)] = values
    except FOREIGN_READ_ERRORS as exc:
        raise _unreadable(path, "its pixels are damaged or cut off") from exc
    if missing:
        raise _unreadable(path, "it holds fewer frames than its header says")


def _headers(dataset: FileDataset) -> Iterator[Dataset]:
    """Of each frame, in order."""
    return frame_headers(dataset) if is_multi_frame_ct(dataset) else iter([dataset])


def _opened(path: Path) -> tuple[FileDataset, FileDataset | Path]:
    """The file, and what its frames are decoded from.

    A file of one image is read once, whole. Where there are many, uncompressed pixels stay in the file until their turn
    comes. Compressed ones are read whole before they are decoded one by one: only so a file, or a codestream in it, that ends
    too early is noticed, which some decoders forgive.
    """
    dataset = _read(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    pixels = dataset.get_item("PixelData", keep_deferred=True)
    is_here = isinstance(pixels, RawDataElement) and pixels.value is not None
    is_native = not (syntax.is_compressed or syntax.is_deflated)
    if is_native and _pixel_bytes(pixels) < native_pixel_bytes(dataset):
        raise _unreadable(path, "its pixels are damaged or cut off")
    if is_native:
        return dataset, dataset if is_here else path
    source = dataset if is_here else _read(path, whole=True)
    if not has_whole_codestreams(source):
        raise _unreadable(path, "its pixels are damaged or cut off")
    return dataset, source


def _pixel_bytes(pixels: RawDataElement | DataElement | None) -> int:
    """Length of Pixel Data (7FE0,0010) as its element says; reading by frames does not look at it."""
    return pixels.length if isinstance(pixels, RawDataElement) else 0


def _hounsfield(words: Int16Array, header: Dataset, *, unused_bits: int) -> Int16Array:
    """HU of a frame.

    Args:
        words: As they were decoded.
        header: Of the frame.
        unused_bits: See `_unused_bits`.
    """
    stored = (words << unused_bits) >> unused_bits if unused_bits else words
    values = np.asarray(apply_rescale(stored, header), dtype=np.float64)
    # What no CT can measure is padding that its header does not name, such as -2000 read as unsigned.
    values[_padding(words, stored, header, unused_bits=unused_bits) | (values > _INT16_MAX)] = AIR_HU
    return np.clip(np.rint(values), AIR_HU, _INT16_MAX).astype(np.int16)


def _decoding(dataset: FileDataset) -> dict[str, Any]:
    """How pydicom is to decode: uncompressed words as they are, by any decoder that it finds.

    The decoder for RLE in Rust panics on damaged data.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    return {
        "decoding_plugin": "pydicom" if syntax == RLELossless else "",
        "correct_unused_bits": syntax.is_encapsulated,
    }


def _unused_bits(dataset: FileDataset) -> int:
    """How many bits of a decoded word stand above the stored ones, and mean nothing to a value (PS3.5 8.1.1)."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return 0
    return int(dataset.BitsAllocated) - int(dataset.BitsStored)


def _read(path: Path, *, whole: bool = False) -> FileDataset:
    """A file; what of it is longer than one image stays in the file, unless the `whole` is wanted."""
    try:
        return pydicom.dcmread(path, defer_size=None if whole else LONGEST_IMAGE_BYTES)
    except FOREIGN_READ_ERRORS as exc:
        raise _unreadable(path, "it is damaged or cut off") from exc


def _padding(words: Int16Array, stored: Int16Array, dataset: Dataset, *, unused_bits: int) -> BoolArray:
    """Where stored values are Pixel Padding Value (0028,0120), up to Pixel Padding Range Limit (PS3.3 C.7.5.1.1.2).

    Both are read in the representation of the pixels: files give -2000 as the unsigned 63536. Where they do not fit into the
    stored bits, they are looked for in the words as a whole.
    """
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    if limit is None:
        limit = value
    bits = int(dataset.BitsAllocated)
    ends = [_as_stored(int(one), dataset, bits=bits) for one in (value, limit)]
    fits = all(_as_stored(end, dataset, bits=bits - unused_bits) == end for end in ends)
    shown = stored if fits else words
    return (shown >= min(ends)) & (shown <= max(ends))


def _as_stored(value: int, dataset: Dataset, *, bits: int) -> int:
    unsigned = value % (1 << bits)
    is_negative = bool(dataset.PixelRepresentation) and unsigned >= 1 << (bits - 1)
    return unsigned - (1 << bits) if is_negative else unsigned


def _unreadable(path: Path, why: str) -> UnreadableStudyError:
    return UnreadableStudyError(f"{path.name} cannot be read: {why}. Send the study again.")
