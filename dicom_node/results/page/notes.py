"""What the findings rest on and where they end: series, comparison studies, limits."""

from dataclasses import dataclass, replace
from typing import Final

from dicom_node.results.page import words
from dicom_node.results.page.fonts import Weight
from dicom_node.results.page.pen import GREY_INK, Box, Pen, Stroke, Style
from dicom_node.wording import lesions_in_words
from pipeline.findings import Analysis, Findings, UsedPrior

BODY: Final = Style(size_pt=7.2)
TITLE: Final = Style(size_pt=6.8, ink=GREY_INK)
LINE_MM: Final = 3.15
TITLE_MM: Final = 8.0
INDENT_MM: Final = 2.6
MOST_LINES: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a column of notes."""

    text: str
    begins: bool
    """The first of its note, with a dash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """A column of notes, cut into lines."""

    title: str
    lines: tuple[Line, ...]

    @property
    def height(self) -> float:
        """What it needs, in mm."""
        return TITLE_MM + LINE_MM * len(self.lines)


def basis_notes(pen: Pen, analysis: Analysis, width_mm: float) -> Notes:
    """Series analysed and comparison studies."""
    findings = analysis.findings
    used = [_used_in_words(prior) for prior in findings.priors_used]
    dropped = [
        f"Not compared, study \u2026{prior.study_instance_uid[-12:]}: {prior.reason}"
        for prior in findings.priors_dropped
    ]
    nothing = [] if used or dropped else ["No earlier study was compared with."]
    sentences = [*words.basis(analysis), *used, *dropped, *nothing]
    return _notes(pen, "What was analysed and compared", sentences, width_mm)


def limit_notes(pen: Pen, findings: Findings, width_mm: float) -> Notes:
    """What limits the findings."""
    return _notes(pen, "Limits of this analysis", words.limits(findings), width_mm)


def draw_notes(pen: Pen, box: Box, notes: Notes) -> None:
    """Write a column."""
    pen.text((box.left, box.top + 3.6), notes.title, TITLE)
    pen.rule((box.left, box.top + 5), (box.right, box.top + 5), Stroke(width_pt=0.7))
    y = box.top + TITLE_MM
    for line in notes.lines:
        if line.begins:
            pen.text((box.left, y), words.DASH, replace(BODY, ink=GREY_INK))
        pen.text((box.left + INDENT_MM, y), line.text, replace(BODY, weight=Weight.REGULAR))
        y += LINE_MM


def _notes(pen: Pen, title: str, sentences: list[str], width_mm: float) -> Notes:
    """As many whole sentences as fit; a line says how many more there are."""
    lines: list[Line] = []
    for number, sentence in enumerate(sentences):
        wrapped = pen.wrapped(sentence, BODY, width_mm - INDENT_MM)
        is_last = number == len(sentences) - 1
        if len(lines) + len(wrapped) > MOST_LINES - (0 if is_last else 1):
            more = len(sentences) - number
            lines.append(Line(text=f"and {more} more: see the structured report", begins=True))
            break
        lines += [Line(text=text, begins=not place) for place, text in enumerate(wrapped)]
    return Notes(title=title, lines=tuple(lines))


def _used_in_words(prior: UsedPrior) -> str:
    parts = [f"Compared with {words.day(prior.acquired_at)}"]
    if prior.interval_days is not None:
        parts.append(f"{words.interval(prior)} before")
    if prior.lesion_count is not None and prior.involvement_percent is not None:
        parts.append(f"{lesions_in_words(prior.lesion_count)}, {words.percent(prior.involvement_percent)} of the lungs")
    parts.append(f"lungs overlap by {100 * prior.lung_overlap_dice:.0f} % after alignment")
    return ", ".join(parts)
