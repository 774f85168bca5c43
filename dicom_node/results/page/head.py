"""Top and bottom of the page: whose it is, what it says, who made it."""

from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.results.colours import Rgb
from dicom_node.results.context import ResultContext
from dicom_node.results.encode import local_moment
from dicom_node.results.page import words
from dicom_node.results.page.fonts import Weight
from dicom_node.results.page.pen import GREY_INK, INK, PAGE_WIDTH_MM, Box, Pen, Point, Stroke, Style
from dicom_node.results.page.script import person_names
from dicom_node.results.sentences import INTENDED_USE
from pipeline.findings import Findings

LEFT_MM: Final = 14.0
WIDTH_MM: Final = PAGE_WIDTH_MM - 2 * LEFT_MM
RIGHT_MM: Final = LEFT_MM + WIDTH_MM
WARNING_INK: Final[Rgb] = (156, 62, 12)
LABEL: Final = Style(size_pt=6.8, ink=GREY_INK)
VALUE: Final = Style(size_pt=9.0)
NAME: Final = Style(size_pt=13.0, weight=Weight.SEMIBOLD)
NAME_WIDTH_MM: Final = 84.0
HEADLINE: Final = Style(size_pt=15.0, weight=Weight.SEMIBOLD)
SECOND: Final = Style(size_pt=11.0)
SECOND_LINE_MM: Final = 5.6
SECOND_LINES: Final = 2
SUBLINE_MM: Final = 5.2
LEAST_SIZE_PT: Final = 6.0
SUBLINE: Final = Style(size_pt=8.6, ink=GREY_INK)
FOOT_TOP_MM: Final = 279.0
SEX_WORDS: Final = {"F": "female", "M": "male", "O": "other"}


def draw_title(pen: Pen) -> None:
    """What the page is, and that it is not for diagnostic use."""
    style = Style(size_pt=10.5, weight=Weight.SEMIBOLD)
    pen.text((LEFT_MM, 15.6), "Chest CT: ground glass and consolidation", style)
    warning = Style(size_pt=8.4, weight=Weight.SEMIBOLD, ink=WARNING_INK, anchor=1.0)
    text = "Not for diagnostic use"
    width = pen.width(text, warning) + 6
    pill = Box(left=RIGHT_MM - width, top=11.4, width=width, height=5.8)
    pen.area(pill, Stroke(ink=WARNING_INK, width_pt=0.8), radius_mm=2.9)
    pen.text((RIGHT_MM - 3, 15.4), text, warning)
    pen.rule((LEFT_MM, 19.2), (RIGHT_MM, 19.2), Stroke(ink=INK, width_pt=0.9))


def draw_patient(pen: Pen, source: Dataset) -> None:
    """Patient and study, as the images say."""
    own, *others = person_names(source.get("PatientName")) or ("Name not known",)
    _shrunk(pen, (LEFT_MM, 26.6), own, NAME, NAME_WIDTH_MM)
    described = [*reversed(others), str(source.get("StudyDescription") or "")]
    below = f" {words.DOT} ".join(text for text in described if text)
    _shrunk(pen, (LEFT_MM, 31.8), below, SUBLINE, NAME_WIDTH_MM)
    for x, y, width, label, value in (
        (104.0, 23.6, 54.0, "Patient ID", str(source.get("PatientID") or "")),
        (160.0, 23.6, 21.0, "Born", _date(str(source.get("PatientBirthDate") or ""))),
        (183.0, 23.6, 13.0, "Sex", SEX_WORDS.get(str(source.get("PatientSex") or ""), "")),
        (104.0, 31.0, 26.0, "Study date", _date(str(source.get("StudyDate") or ""))),
        (132.0, 31.0, 64.0, "Accession", str(source.get("AccessionNumber") or "")),
    ):
        pen.text((x, y), label, LABEL)
        _shrunk(pen, (x, y + 3.8), value or words.DASH, VALUE, width)
    pen.rule((LEFT_MM, 37.6), (RIGHT_MM, 37.6))


def draw_answer(pen: Pen, findings: Findings) -> float:
    """The answer; returns where it ends."""
    y = 45.6
    _shrunk(pen, (LEFT_MM, y), words.headline(findings), HEADLINE, WIDTH_MM)
    lines = pen.wrapped(words.second_line(findings), SECOND, WIDTH_MM)[:SECOND_LINES]
    for line in lines:
        y += SECOND_LINE_MM
        pen.text((LEFT_MM, y), line, SECOND)
    y += SUBLINE_MM
    pen.text((LEFT_MM, y), pen.fitted(words.subline(findings), SUBLINE, WIDTH_MM), SUBLINE)
    return y + 1.2


def _shrunk(pen: Pen, place: Point, text: str, style: Style, width_mm: float) -> None:
    """One line, as much smaller as it must be to fit; what is too long for the smallest size is cut and says so."""
    size_pt = style.size_pt
    while size_pt > LEAST_SIZE_PT and pen.width(text, replace(style, size_pt=size_pt)) > width_mm:
        size_pt -= 0.25
    style = replace(style, size_pt=size_pt)
    pen.text(place, pen.fitted(text, style, width_mm), style)


def draw_foot(pen: Pen, findings: Findings, context: ResultContext, timezone_offset: str) -> None:
    """Intended use, and what made the page."""
    pen.rule((LEFT_MM, FOOT_TOP_MM), (RIGHT_MM, FOOT_TOP_MM), Stroke(ink=INK, width_pt=0.9))
    strong = Style(size_pt=7.6, weight=Weight.SEMIBOLD, ink=WARNING_INK)
    pen.text((LEFT_MM, FOOT_TOP_MM + 4.2), INTENDED_USE, strong)
    small = Style(size_pt=6.6, ink=GREY_INK)
    made = local_moment(context, timezone_offset)
    algorithm = findings.algorithm
    revised = f", revision {context.revision}" if context.revision > 1 else ""
    institution = f", {context.institution}" if context.institution else ""
    lines = (
        f"{algorithm.name} {algorithm.version}, weights SHA-256 {algorithm.weights_sha256}",
        f"Made by {context.manufacturer} {context.software_version} (device {context.device_serial_number}{institution}) "
        f"on {made:%Y-%m-%d} at {made:%H:%M}{revised}. Study {findings.study_instance_uid}",
    )
    for number, line in enumerate(lines):
        place = (LEFT_MM, FOOT_TOP_MM + 7.8 + 3.1 * number)
        pen.text(place, pen.fitted(line, small, WIDTH_MM), replace(small, anchor=0.0))


def outside_texts(source: Dataset, context: ResultContext, findings: Findings) -> list[str]:
    """Everything on the page that comes from outside and may be in any script."""
    keywords = ("PatientID", "AccessionNumber", "StudyDescription")
    return [
        *person_names(source.get("PatientName")),
        *(str(source.get(keyword) or "") for keyword in keywords),
        context.institution,
        context.manufacturer,
        findings.series_description,
        findings.series_reason,
    ]


def _date(value: str) -> str:
    """YYYYMMDD (PS3.5 6.2, DA) as YYYY-MM-DD."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 else value
