"""The report for people says what the findings say, on one page, read back with pypdf."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pypdf
import pytest

from builders.analysis import ALL_LAYOUTS, Layout, StudyPlan, build_analysis, used_prior
from builders.report_page import page_of, places_of, text_of, with_many_lesions
from builders.result_plans import WITH_PRIORS
from dicom_node.results.page.script import drawn_form, person_names
from pipeline.findings import Analysis, Change

A4_POINTS = (595.28, 841.89)
KNOWN_PRIOR = replace(used_prior(), lesion_count=2, lesion_volume_ml=40.0, involvement_percent=2.2)


@pytest.fixture(scope="module")
def follow_up(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A study with a prior whose involvement is known, one that was dropped, and a lesion that is gone."""
    plan = replace(WITH_PRIORS, priors_used=(KNOWN_PRIOR,))
    return build_analysis(tmp_path_factory.mktemp("ct"), plan)


@pytest.fixture(scope="module")
def text(follow_up: Analysis) -> str:
    """What its page says."""
    return text_of(page_of(follow_up))


def test_page_is_one_page_of_a4(follow_up: Analysis) -> None:
    """Whatever there is to say."""
    (page,) = pypdf.PdfReader(BytesIO(page_of(follow_up))).pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(A4_POINTS, abs=0.1)


def test_head_names_patient_and_study(text: str) -> None:
    """As the images do."""
    for expected in ("Muster, Jana", "T-1", "1960-01-01", "female", "2024-03-05", "ACC1", "CT chest"):
        assert expected in text


def test_lesions_that_are_not_compared_are_no_absence_of_change(follow_up: Analysis) -> None:
    """Where none could be compared, the line under the answer says so, and their rows give no difference."""
    lesions = tuple(
        replace(lesion, change=Change.NOT_COMPARED, prior_volume_ml=None) for lesion in follow_up.findings.lesions
    )
    findings = replace(follow_up.findings, lesions=lesions, gone_lesions=())
    said = text_of(page_of(replace(follow_up, findings=findings)))
    assert f"{len(lesions)} could not be compared with 20" in said
    assert "No change" not in said
    assert said.count("not compared") >= len(lesions)


def test_answer_stands_in_one_sentence(text: str) -> None:
    """How many, where, how much, and what changed since when."""
    assert "3 lesions in both lungs, 4.6 % of lung volume" in text
    assert "2 new, 1 grown, 1 no longer seen since 2024-02-20, 14 days ago" in text


def test_table_has_each_lesion_with_its_change(text: str) -> None:
    """Volume, attenuation, share, and growth in ml and per cent."""
    assert "Change since 2024-02-20" in text
    assert "1 0001 ground glass right 7 B 62 \N{MINUS SIGN}550 5.5 grown +31 ml +100 %" in text
    assert "2 0002 consolidation left 14 A 25" in text
    assert "0077 consolidation left" in text
    assert "was 3.2 ml" in text


def test_trend_shows_the_earlier_study(text: str) -> None:
    """Its involvement, and the one now, at their dates."""
    trend = text.split("Involvement over time, % of the lungs")[1].split("What was analysed")[0]
    assert "2.2" in trend
    assert "4.6" in trend
    assert "2024-02-20" in trend
    assert "2024-03-05" in trend


def test_basis_and_limits_are_said(text: str) -> None:
    """Series, studies compared and not, what may be missing, what the score is worth."""
    for expected in (
        "Thinnest axial series with a lung kernel.",
        "Compared with 2024-02-20, 14 days before, 2 lesions, 2.2 % of the lungs",
        "The lungs did not overlap.",
        "Slices are 9 mm apart; lesions below that size can be missed.",
        "trained on synthetic data only",
        "The patient score of 0.81 is a probability among synthetic phantoms only",
        "Nothing else is assessed",
    ):
        assert expected in text


def test_page_says_that_it_is_not_for_diagnosis_and_what_made_it(text: str) -> None:
    """At its top and at its foot."""
    assert text.count("Not for diagnostic use") == 2
    assert f"Space-Time-Net 0.1-demo, weights SHA-256 {'ab' * 32}" in text
    assert "dicom-node 0.1.0" in text


def test_page_is_the_same_each_time(follow_up: Analysis) -> None:
    """No clock and no chance in it."""
    assert page_of(follow_up) == page_of(follow_up)


def test_every_font_is_embedded(tmp_path: Path) -> None:
    """A workstation without East Asian fonts shows the name too."""
    plan = StudyPlan(change_header=lambda image: _rename(image, "Yamada^Tarou=山田^太郎=やまだ^たろう"))
    (page,) = pypdf.PdfReader(BytesIO(page_of(build_analysis(tmp_path, plan)))).pages
    fonts = page["/Resources"]["/Font"].values()
    assert len(fonts) >= 3
    assert all("/FontFile2" in font.get_object()["/FontDescriptor"] for font in fonts)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("山田 太郎", "Yamada, Tarou", "やまだ たろう")),
        ("Hong^Gildong=洪^吉洞=홍^길동", ("洪 吉洞", "홍 길동")),
        ("Wang^XiaoDong=王^小东", ("王 小东",)),
        ("Διονυσιος", ("Διονυσιος",)),
        ("Люксембург", ("Люксембург",)),
        ("Şahin^Łukasz", ("Şahin, Łukasz",)),
    ],
)
def test_names_of_any_script_can_be_read(tmp_path: Path, name: str, shown: tuple[str, ...]) -> None:
    """Own script, sound and Latin letters."""
    text = text_of(page_of(build_analysis(tmp_path, StudyPlan(change_header=lambda image: _rename(image, name)))))
    assert all(part in text for part in shown)


def test_character_that_no_font_has_is_a_question_mark(tmp_path: Path) -> None:
    """A box would say nothing."""
    plan = StudyPlan(change_header=lambda image: _rename(image, "\U00012000\U00012001"))
    assert "??" in text_of(page_of(build_analysis(tmp_path, plan)))


def test_long_patient_id_is_whole(tmp_path: Path) -> None:
    """It becomes smaller, not shorter: a part of an ID is another patient."""
    patient_id = "0123456789-ABCDEFGHIJKLMNOPQRSTUVW-0123456789"
    plan = StudyPlan(change_header=lambda image: setattr(image, "PatientID", patient_id))
    assert patient_id in text_of(page_of(build_analysis(tmp_path, plan)))


def test_study_without_lesions_says_so_with_its_limits(tmp_path: Path) -> None:
    """Where was looked, and what limits the answer, stand beside it."""
    text = text_of(page_of(build_analysis(tmp_path, StudyPlan(with_lesions=False))))
    assert "No lesion found in the lungs Slices are 9 mm apart" in text
    assert "were looked for in the right lung (1123 ml) and the left lung (751 ml), on 20 slices 9 mm apart" in text
    assert "No earlier study was compared" in text
    assert "Lesion Kind" not in text


def test_more_lesions_than_fit_are_summed_up(follow_up: Analysis) -> None:
    """The largest are shown; a line says how many more there are, and how large."""
    text = text_of(page_of(with_many_lesions(follow_up, 60)))
    assert "60 lesions" in text
    shown = [number for number in range(1, 61) if f" {number:04X} " in text]
    assert shown == list(range(1, len(shown) + 1))
    total_ml = sum(100.0 / number for number in range(len(shown) + 1, 61))
    assert f"and {60 - len(shown)} smaller lesions, {total_ml:.0f} ml together and 1 no longer seen" in text


def test_nothing_is_written_outside_of_the_page(follow_up: Analysis) -> None:
    """With many lesions, many limits, many studies and long names too."""
    findings = follow_up.findings
    crowded = replace(
        with_many_lesions(follow_up, 60).findings,
        qualifications=tuple(f"Limit {number}: {'something that was not seen, ' * 4}" for number in range(12)),
        priors_used=tuple(KNOWN_PRIOR for _ in range(9)),
        priors_dropped=findings.priors_dropped * 9,
    )
    pdf = page_of(replace(with_many_lesions(follow_up, 60), findings=crowded), institution="X" * 64)
    places = places_of(pdf)
    assert len(places) > 100
    assert all(28 < x < A4_POINTS[0] - 28 and 20 < y < A4_POINTS[1] - 28 for x, y in places)
    assert "more: see the structured report" in text_of(pdf)


@pytest.mark.parametrize("layout", ALL_LAYOUTS.values(), ids=ALL_LAYOUTS.keys())
def test_pictures_name_the_image_of_each_lesion(tmp_path: Path, layout: Layout) -> None:
    """However the patient lay, the table leads to the image that shows the lesion."""
    analysis = build_analysis(tmp_path, StudyPlan(layout=layout))
    lesion = analysis.findings.lesions[1]
    number = analysis.volume.slice_headers[lesion.key_slice].instance_number
    assert f"2 0002 consolidation left {number} " in text_of(page_of(analysis))


def test_arabic_letters_are_joined_and_run_from_right_to_left() -> None:
    """As they are drawn; numbers stay as they are read."""
    drawn = drawn_form("قباني 12")
    assert drawn.endswith(" 12")
    assert all("\ufe70" <= letter <= "\ufeff" for letter in drawn.removesuffix(" 12"))


def test_hebrew_among_latin_is_turned_around_alone() -> None:
    """What stands around it stays."""
    assert drawn_form("Cohen (שלום) 7") == "Cohen (םולש) 7"


def test_person_without_a_name_has_none() -> None:
    """Neither a comma nor an empty pair of brackets."""
    assert person_names(None) == ()
    assert person_names("^^^^") == ()


def _rename(image: object, name: str) -> None:
    image.SpecificCharacterSet = "ISO_IR 192"  # type: ignore[attr-defined]
    image.PatientName = name  # type: ignore[attr-defined]
