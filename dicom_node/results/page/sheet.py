"""The report on one study as a page of A4 in PDF."""

from io import BytesIO
from typing import Final

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas

from dicom_node.results.acquisition import acquisition_day
from dicom_node.results.context import ResultContext
from dicom_node.results.page.charts import BARS_MM, draw_bars, draw_trend
from dicom_node.results.page.chest import Chest, chest_of
from dicom_node.results.page.coronal import draw_coronal
from dicom_node.results.page.fonts import Fonts, Weight
from dicom_node.results.page.head import (
    FOOT_TOP_MM,
    LEFT_MM,
    RIGHT_MM,
    WIDTH_MM,
    draw_answer,
    draw_foot,
    draw_patient,
    draw_title,
    outside_texts,
)
from dicom_node.results.page.notes import Notes, basis_notes, draw_notes, limit_notes
from dicom_node.results.page.pen import PAGE_HEIGHT_MM, PAGE_WIDTH_MM, POINTS_PER_MM, Box, Pen
from dicom_node.results.page.script import drawn_form
from dicom_node.results.page.slices import Shown, draw_slice, shown_slices
from dicom_node.results.page.table import TABLE_WIDTH_MM, draw_table, height_of
from dicom_node.results.page.words import day
from dicom_node.results.source import SourceImages
from pipeline.findings import Analysis, Findings

TITLE: Final = "AI report on chest CT - not for diagnostic use"
ACROSS: Final = 3
"""Pictures in a row."""
GUTTER_MM: Final = 2.0
PICTURE_WIDTH_MM: Final = (WIDTH_MM - (ACROSS - 1) * GUTTER_MM) / ACROSS
PROPORTIONS: Final = (0.72, 0.88)
"""Height by width of a picture: what a chest needs, what it may have."""
CHARTS_LEFT_MM: Final = 152.0
TREND_MM: Final = 26.0
SECTION_GAP_MM: Final = 4.0
COLUMN_GAP_MM: Final = 8.0
HALF_MM: Final = (WIDTH_MM - COLUMN_GAP_MM) / 2


def report_pdf(analysis: Analysis, images: SourceImages, context: ResultContext) -> bytes:
    """One page; the same input gives the same bytes."""
    findings, source = analysis.findings, images.first
    # Pictures as bytes and not as text, which takes long and is a quarter larger.
    rl_config.useA85 = 0
    fonts = Fonts(drawn_form(text) for text in outside_texts(source, context, findings))
    buffer = BytesIO()
    size = (PAGE_WIDTH_MM * POINTS_PER_MM, PAGE_HEIGHT_MM * POINTS_PER_MM)
    canvas = Canvas(buffer, pagesize=size, pageCompression=1, invariant=1, initialFontName=fonts.name(Weight.REGULAR))
    canvas.setTitle(TITLE)
    canvas.setAuthor(context.manufacturer)
    canvas.setSubject(findings.study_instance_uid)
    canvas.setCreator(f"dicom-node {context.software_version}")
    pen = Pen(canvas, fonts)
    draw_title(pen)
    draw_patient(pen, source)
    _draw_body(pen, draw_answer(pen, findings) + SECTION_GAP_MM, analysis, acquisition_day(source))
    draw_foot(pen, findings, context, images.timezone_offset)
    canvas.showPage()
    canvas.save()
    pdf = buffer.getvalue()
    # Of even length, as DICOM wants it, so that what is taken out of the DICOM object is the same to the byte.
    return pdf + b"\n" * (len(pdf) % 2)


def _draw_body(pen: Pen, top: float, analysis: Analysis, study_day: str) -> None:
    """Pictures, figures and notes of a study of that day, each as high as what it holds."""
    findings, chest = analysis.findings, chest_of(analysis)
    shown = shown_slices(chest)
    columns = [basis_notes(pen, analysis, HALF_MM), limit_notes(pen, findings, HALF_MM)]
    end = FOOT_TOP_MM - SECTION_GAP_MM / 2 - max(column.height for column in columns)
    height = _picture_height(findings, shown, end - top)
    top = _draw_pictures(pen, top, chest, shown, height=height) + SECTION_GAP_MM
    top = (
        _draw_figures(pen, (top, end - SECTION_GAP_MM), (chest, findings, shown), study_day=study_day) + SECTION_GAP_MM
    )
    _draw_notes(pen, top, columns)


def _picture_height(findings: Findings, shown: list[Shown], room_mm: float) -> float:
    """Of one picture: as high as table and notes leave room for, within what looks well."""
    rows = -(-(len(shown) + 1) // ACROSS)
    table_mm = max(height_of(findings), BARS_MM + TREND_MM)
    free_mm = room_mm - table_mm - 2 * SECTION_GAP_MM - (rows - 1) * GUTTER_MM
    lowest, highest = (PICTURE_WIDTH_MM * proportion for proportion in PROPORTIONS)
    return min(highest, max(lowest, free_mm / rows))


def _draw_pictures(pen: Pen, top: float, chest: Chest, shown: list[Shown], *, height: float) -> float:
    """The view from the front, then the slices; returns where they end."""
    boxes = [
        Box(
            left=LEFT_MM + (number % ACROSS) * (PICTURE_WIDTH_MM + GUTTER_MM),
            top=top + (number // ACROSS) * (height + GUTTER_MM),
            width=PICTURE_WIDTH_MM,
            height=height,
        )
        for number in range(len(shown) + 1)
    ]
    draw_coronal(pen, boxes[0], chest, shown)
    for box, picture in zip(boxes[1:], shown, strict=True):
        draw_slice(pen, box, chest, picture)
    return boxes[-1].bottom


def _draw_figures(
    pen: Pen, room: tuple[float, float], what: tuple[Chest, Findings, list[Shown]], *, study_day: str
) -> float:
    """The table, and the charts beside it; returns where they end."""
    chest, findings, shown = what
    top, bottom = room
    width = RIGHT_MM - CHARTS_LEFT_MM
    if not findings.lesions and not findings.gone_lesions:
        draw_bars(pen, Box(left=LEFT_MM, top=top, width=HALF_MM, height=BARS_MM), findings)
        left = LEFT_MM + HALF_MM + COLUMN_GAP_MM
        draw_trend(pen, Box(left=left, top=top, width=HALF_MM, height=BARS_MM), findings, study_day)
        return top + BARS_MM
    table_mm = min(height_of(findings), bottom - top)
    newest = day(findings.priors_used[0].acquired_at) if findings.priors_used else ""
    table = Box(left=LEFT_MM, top=top, width=TABLE_WIDTH_MM, height=table_mm)
    draw_table(pen, table, chest, findings, shown, compared_with=newest)
    draw_bars(pen, Box(left=CHARTS_LEFT_MM, top=top, width=width, height=BARS_MM), findings)
    trend = Box(left=CHARTS_LEFT_MM, top=top + BARS_MM, width=width, height=TREND_MM)
    draw_trend(pen, trend, findings, study_day)
    return max(table.bottom, trend.bottom)


def _draw_notes(pen: Pen, top: float, columns: list[Notes]) -> None:
    """Side by side."""
    for number, column in enumerate(columns):
        left = LEFT_MM + number * (HALF_MM + COLUMN_GAP_MM)
        draw_notes(pen, Box(left=left, top=top, width=HALF_MM, height=column.height), column)
