"""Pictures of a result for people: the slices that show it, with outlines, and nothing about the patient."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Final

import contourpy
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicom_node.results.areas import lung_area_by_slice
from dicom_node.results.colours import LESION_RGB, LUNG_RGB, Rgb
from dicom_node.results.directions import direction_letter
from dicom_node.results.encode import ascii_text
from dicom_node.results.key_images import image_name
from dicom_node.results.seg import KIND_NAME, LUNG_VALUE
from dicom_node.wording import result_in_words
from pipeline.findings import Analysis, Change, Findings, Lesion
from pipeline.study import BoolArray, Grid

WINDOW_HU: Final = (-1350.0, 150.0)
"""The usual lung window, level -600, width 1500."""

MOST_LESION_PICTURES: Final = 20
"""The largest lesions; a lung full of them is understood from the overview."""

MONTAGE: Final = (3, 4)
"""Rows and columns of the overview."""

SUPERSAMPLING: Final = 2
"""Outlines are drawn larger and then reduced, which smooths them."""

PNG_EFFORT: Final = 3
"""Of 9: half the time of the default for a tenth more bytes."""

INK: Final[Rgb] = (235, 235, 235)
PAPER: Final[Rgb] = (16, 16, 18)
WARNING_INK: Final[Rgb] = (255, 170, 60)
NOT_FOR_DIAGNOSIS: Final = "AI result - not for diagnostic use"
MARGIN: Final = 16
HEADER_HEIGHT: Final = 84
GAP: Final = 6
LEAST_ZOOM_MM: Final = 70.0

CHANGE_WORDS: Final = {
    Change.NEW: "new",
    Change.GROWN: "grown",
    Change.STABLE: "stable",
    Change.SHRUNK: "shrunk",
    Change.GONE: "gone",
    Change.NOT_COMPARED: "not compared",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The part of a slice that a panel shows, in pixels of the slice."""

    top: float
    left: float
    height: float
    width: float


def draw_overview(analysis: Analysis) -> bytes:
    """A montage from head to feet as PNG."""
    rows, columns = MONTAGE
    width, height = fitted_size(analysis.volume.grid, 400)
    title = _overview_title(analysis.findings)
    sheet = _sheet(columns * (width + GAP) - GAP, rows * (height + GAP) - GAP, title=title)
    for position, slice_index in enumerate(montage_slices(analysis)):
        panel = draw_panel(analysis, slice_index, size=(width, height))
        row, column = divmod(position, columns)
        sheet.paste(panel, (MARGIN + column * (width + GAP), HEADER_HEIGHT + row * (height + GAP)))
    return _png(sheet)


def draw_lesion(analysis: Analysis, lesion: Lesion) -> bytes:
    """The key slice of one lesion, whole and near, as PNG."""
    width, height = fitted_size(analysis.volume.grid, 640)
    sheet = _sheet(2 * width + GAP, height, title=_lesion_title(lesion))
    crop = _around(analysis, lesion)
    whole = draw_panel(analysis, lesion.key_slice, size=(width, height), subject=lesion)
    _frame(whole, crop, analysis.volume.grid)
    near = draw_panel(analysis, lesion.key_slice, size=(width, height), crop=crop, subject=lesion)
    sheet.paste(whole, (MARGIN, HEADER_HEIGHT))
    sheet.paste(near, (MARGIN + width + GAP, HEADER_HEIGHT))
    return _png(sheet)


def montage_slices(analysis: Analysis) -> list[int]:
    """Slices spread evenly over the lungs, with the key slices of the largest lesions, head first."""
    with_lung = np.flatnonzero(lung_area_by_slice(analysis.lung_mask))
    places = min(MONTAGE[0] * MONTAGE[1], len(with_lung))
    chosen = [int(k) for k in np.linspace(with_lung[0], with_lung[-1], places).round()]
    for lesion in analysis.findings.lesions[: places // 3]:
        nearest = min(range(places), key=lambda place: abs(chosen[place] - lesion.key_slice))
        chosen[nearest] = lesion.key_slice
    ascends = analysis.volume.grid.affine_lps_from_kji[2, 0] > 0
    return sorted(set(chosen), reverse=bool(ascends))


def draw_panel(
    analysis: Analysis,
    slice_index: int,
    *,
    size: tuple[int, int],
    crop: Crop | None = None,
    subject: Lesion | None = None,
) -> Image.Image:
    """One slice with outlines and letters; with a subject, all other lesions are thin."""
    grid = analysis.volume.grid
    crop = crop or Crop(top=0, left=0, height=grid.shape[1], width=grid.shape[2])
    large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    picture = _windowed(analysis.volume.volume_hu[slice_index])
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    panel = picture.resize(large, Image.Resampling.BICUBIC, box=box).convert("RGB")
    draw = ImageDraw.Draw(panel)
    scale = (large[0] / crop.width, large[1] / crop.height)
    for mask, colour, width in _outlined(analysis, slice_index, subject):
        _outline(draw, mask, crop=crop, scale=scale, pen=(colour, width * SUPERSAMPLING))
    panel = panel.reduce(SUPERSAMPLING)
    _letters(panel, grid)
    _label(panel, analysis, slice_index)
    return panel


def _outlined(analysis: Analysis, slice_index: int, subject: Lesion | None) -> Iterable[tuple[BoolArray, Rgb, int]]:
    """Masks with their colours and line widths; lungs first, so that lesions lie on top."""
    lungs, labels = analysis.lung_mask[slice_index], analysis.lesion_labels[slice_index]
    for side, value in LUNG_VALUE.items():
        yield lungs == value, LUNG_RGB[side], 1
    present = set(np.unique(labels).tolist())
    for lesion in analysis.findings.lesions:
        if lesion.number in present:
            yield labels == lesion.number, LESION_RGB[lesion.kind], 2 if subject in (None, lesion) else 1


def _outline(
    draw: ImageDraw.ImageDraw, mask: BoolArray, *, crop: Crop, scale: tuple[float, float], pen: tuple[Rgb, int]
) -> None:
    """All borders of a mask, also around holes and parts."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return
    padded = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64), 1)
    # From centres of padded pixels to corners of pixels of the slice, then to pixels of the panel.
    shift = np.array([columns[0] - 0.5 - crop.left, rows[0] - 0.5 - crop.top])
    for line in contourpy.contour_generator(z=padded, name="serial").lines(0.5):
        points = (np.asarray(line) + shift) * scale
        draw.line([(float(x), float(y)) for x, y in points], fill=pen[0], width=pen[1], joint="curve")


def _windowed(slice_hu: np.ndarray) -> Image.Image:
    low, high = WINDOW_HU
    grey = np.clip((slice_hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    return Image.fromarray(grey.astype(np.uint8))


def _letters(panel: Image.Image, grid: Grid) -> None:
    """The side of the patient at each edge, as the slice is stored and as viewers show it."""
    affine = grid.affine_lps_from_kji
    right, down = affine[:3, 2], affine[:3, 1]
    width, height = panel.size
    edges = (
        (-right, (6, height // 2), "lm"),
        (right, (width - 6, height // 2), "rm"),
        (-down, (width // 2, 6), "mt"),
        (down, (width // 2, height - 6), "mb"),
    )
    draw = ImageDraw.Draw(panel)
    for direction, place, anchor in edges:
        write_on(draw, place, direction_letter(direction), anchor=anchor, size=20)


def _label(panel: Image.Image, analysis: Analysis, slice_index: int) -> None:
    """Which image it is."""
    header = analysis.volume.slice_headers[slice_index]
    text = f"{image_name(header, slice_index)}   z {header.image_position_mm[2]:.1f} mm"
    write_on(ImageDraw.Draw(panel), (6, panel.size[1] - 6), text, anchor="lb", size=15)


def _frame(panel: Image.Image, crop: Crop, grid: Grid) -> None:
    """Where in the whole slice the near view lies."""
    across, down = panel.size[0] / grid.shape[2], panel.size[1] / grid.shape[1]
    corners = (
        (crop.left * across, crop.top * down),
        ((crop.left + crop.width) * across, (crop.top + crop.height) * down),
    )
    ImageDraw.Draw(panel).rectangle(corners, outline=INK, width=1)


def _around(analysis: Analysis, lesion: Lesion) -> Crop:
    """A square of the patient around the lesion, inside the slice."""
    grid = analysis.volume.grid
    rows, columns = np.nonzero(analysis.lesion_labels[lesion.key_slice] == lesion.number)
    _, row_mm, column_mm = grid.spacing_mm
    extent_mm = max((np.ptp(rows) + 1) * row_mm, (np.ptp(columns) + 1) * column_mm)
    side_mm = min(max(1.6 * extent_mm, LEAST_ZOOM_MM), grid.shape[1] * row_mm, grid.shape[2] * column_mm)
    # The panel has the proportions of the whole slice.
    proportion = grid.shape[2] * column_mm / (grid.shape[1] * row_mm)
    height, width = side_mm / row_mm, side_mm * proportion / column_mm
    height, width = min(height, grid.shape[1]), min(width, grid.shape[2])
    top = float(np.clip(rows.mean() + 0.5 - height / 2, 0, grid.shape[1] - height))
    left = float(np.clip(columns.mean() + 0.5 - width / 2, 0, grid.shape[2] - width))
    return Crop(top=top, left=left, height=float(height), width=float(width))


def fitted_size(grid: Grid, longest: int) -> tuple[int, int]:
    """Width and height of a panel with the proportions of the patient."""
    _, row_mm, column_mm = grid.spacing_mm
    height_mm, width_mm = grid.shape[1] * row_mm, grid.shape[2] * column_mm
    scale = longest / max(height_mm, width_mm)
    return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))


def _sheet(width: int, height: int, *, title: str) -> Image.Image:
    """An empty sheet with title, warning and legend."""
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + HEADER_HEIGHT + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    write_on(draw, (MARGIN, 12), title, anchor="la", size=22)
    write_on(draw, (sheet.size[0] - MARGIN, 12), NOT_FOR_DIAGNOSIS, anchor="ra", size=22, ink=WARNING_INK)
    place = MARGIN
    for colour, words in _legend():
        draw.line([(place, 60), (place + 28, 60)], fill=colour, width=4)
        write_on(draw, (place + 36, 60), words, anchor="lm", size=16)
        place += 60 + int(draw.textlength(words, font=_font(16)))
    return sheet


def _legend() -> list[tuple[Rgb, str]]:
    lesions = [(LESION_RGB[kind], KIND_NAME[kind]) for kind in LESION_RGB]
    return [*lesions, *((LUNG_RGB[side], f"{side.value} lung") for side in LUNG_RGB)]


def _overview_title(findings: Findings) -> str:
    return result_in_words(len(findings.lesions), findings.involvement_percent, findings.stage, findings.missing_lungs)


def _lesion_title(lesion: Lesion) -> str:
    parts = [
        ascii_text(lesion.tracking_id),
        f"{KIND_NAME[lesion.kind]}, {lesion.side.value}",
        f"{lesion.volume_ml:.2f} ml",
        f"{lesion.mean_hu:.0f} HU",
        CHANGE_WORDS[lesion.change],
    ]
    return "   ".join(parts)


def write_on(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, *, anchor: str, size: int, ink: Rgb = INK
) -> None:
    """Text with a dark edge, so that it shows on any slice."""
    draw.text(place, text, fill=ink, font=_font(size), anchor=anchor, stroke_width=1, stroke_fill=PAPER)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, unpacked once."""
    return ImageFont.load_default(size)


def _png(sheet: Image.Image) -> bytes:
    buffer = BytesIO()
    sheet.save(buffer, "PNG", compress_level=PNG_EFFORT)
    return buffer.getvalue()
