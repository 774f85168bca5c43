"""The part of the body that a series shows, by what its header calls it and by how much it covers."""

from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from builders.ct_series import CtSeries, ct_images, write_images
from config.chest_words import CHEST_WORDS
from pipeline.choose import choose_series
from pipeline.region import region_rank
from pipeline.survey import SeriesOutcome, StudySurvey, survey_series

BOTH = "CT CHEST ABDOMEN PELVIS W CONTRAST"


def named(
    number: int, *, height: tuple[int, float] = (20, 5.0), side_mm: float = 384.0, **words: str
) -> list[FileDataset]:
    """A series of so many slices so far apart, of square images with sides of this length, under these words."""
    slices, spacing_mm = height
    pixel_mm = side_mm / 32
    images = ct_images(
        CtSeries(
            uid=f"1.2.3.{number}", number=number, shape=(slices, 32, 32), spacing_mm=(spacing_mm, pixel_mm, pixel_mm)
        )
    )
    for image in images:
        for keyword, value in words.items():
            setattr(image, keyword, value)
    return images


def survey(folder: Path, *series: list[FileDataset]) -> StudySurvey:
    """All series of a study, judged."""
    return survey_series(
        [path for n, images in enumerate(series) for path in write_images(folder, images, prefix=f"s{n}")]
    )


def chosen_number(folder: Path, *series: list[FileDataset]) -> int | None:
    """Series Number of the one that is read."""
    paths = [path for n, images in enumerate(series) for path in write_images(folder, images, prefix=f"s{n}")]
    return choose_series(paths).number


@pytest.mark.parametrize(
    ("study", "part", "description"),
    [(BOTH, "ABDOMEN", "ABDOMEN PELVIS 5.0"), (BOTH, "", "ABD PEL 5.0"), ("CT HEAD AND CHEST", "HEAD", "HEAD 1.0")],
)
def test_the_name_of_the_examination_makes_no_other_part_a_chest(
    tmp_path: Path, study: str, part: str, description: str
) -> None:
    """The chest is read, though the other series reaches over more of the body."""
    chest = named(2, BodyPartExamined="CHEST", SeriesDescription="LUNG 5.0", StudyDescription=study)
    other = named(
        3,
        height=(40, 5.0),
        BodyPartExamined=part,
        SeriesDescription=description,
        StudyDescription=study,
        ProtocolName=study,
    )
    found = survey(tmp_path, other, chest)
    assert found.chosen is not None
    assert found.chosen.number == 2
    assert [one.region_rank for one in found.judged] == [0, 2]


@pytest.mark.parametrize(
    ("words", "rank"),
    [
        ({"SeriesDescription": "CHEST ABDOMEN PELVIS", "BodyPartExamined": "ABDOMEN"}, 0),
        ({"SeriesDescription": "1.0 B70f", "BodyPartExamined": "CHESTABDPELVIS"}, 0),
        ({"SeriesDescription": "1.0 B70f", "ProtocolName": "Thorax"}, 0),
        ({"SeriesDescription": "1.0 B70f", "ProtocolName": "Abdomen", "StudyDescription": "CT Chest"}, 2),
        ({"SeriesDescription": "1.0 B70f", "ProtocolName": "Routine", "StudyDescription": "CT Chest"}, 0),
        ({"SeriesDescription": "1.0 B70f", "BodyPartExamined": "ABDOMEN", "StudyDescription": "CT Chest"}, 2),
        ({"SeriesDescription": "THORACIC SPINE 1.0", "StudyDescription": "CT Chest"}, 2),
        ({"SeriesDescription": "ABDOMEN PELVIS 5.0", "BodyPartExamined": "CHEST"}, 2),
        ({"SeriesDescription": "Thx 1.0 HANDS UP", "BodyPartExamined": "ABDOMEN"}, 0),
        ({"SeriesDescription": "1.0 HEAD FIRST", "BodyPartExamined": "CHEST"}, 0),
        ({"SeriesDescription": "1.0 B70f"}, 1),
    ],
)
def test_the_first_name_that_says_a_part_counts(tmp_path: Path, words: dict[str, str], rank: int) -> None:
    """Of the series itself, then of its protocol, then of the study."""
    (judged,) = survey(tmp_path, named(2, **words)).judged
    assert judged.region_rank == rank


@pytest.mark.parametrize("part", ["CHESTABDPELVIS", "CHEST"])
def test_a_series_speaks_for_itself_before_the_body_part_of_the_whole_study(tmp_path: Path, part: str) -> None:
    """Scanners give every series of a study the same Body Part Examined."""
    lung = named(2, height=(33, 10.0), BodyPartExamined=part, SeriesDescription="LUNG 1.0")
    abdomen = named(3, height=(48, 10.0), BodyPartExamined=part, SeriesDescription="ABDOMEN PELVIS 5.0")
    found = survey(tmp_path, lung, abdomen)
    assert [one.region_rank for one in found.judged] == [0, 2]
    assert found.chosen is found.judged[0]


@pytest.mark.parametrize(
    "description",
    [
        "SPINE THORACIC 1.0",
        "RACHIS THORACIQUE 1.0",
        "THORACIC T-SPINE 1.0",
        "BWS THORAKALE WIRBELSAEULE",
        "BWS 2.0 THORAX",
        "COLUMNA TORACICA",
    ],
)
def test_the_thoracic_spine_is_no_chest(description: str) -> None:
    """In whatever order and language its words come, and though the scanner calls the part a chest."""
    assert region_rank([description, "CHEST"]) == 2


@pytest.mark.parametrize("word", [word for words in CHEST_WORDS for word in words.split("|")])
def test_a_chest_is_known_in_the_languages_in_which_earlier_studies_are(word: str) -> None:
    """What is fetched as a chest is read as one; capitals and accents do not matter."""
    assert region_rank([f"TC {word.upper()} 1.0", "ABDOMEN"]) == 0


@pytest.mark.parametrize("description", ["TÓRAX 1.0", "PULMÃO", "TO\u0301RAX", "TORACE", "BRÖST"])
def test_accents_hide_no_chest(description: str) -> None:
    """However they are stored."""
    assert region_rank([description, "ABDOMEN"]) == 0


@pytest.mark.parametrize("description", ["BRUSTWIRBELSÄULE", "ГРУДНОГО ОТДЕЛА ПОЗВОНОЧНИКА", "胸椎"])
def test_the_thoracic_spine_is_no_chest_in_other_languages(description: str) -> None:
    """Though its name holds the word of the chest."""
    assert region_rank([description]) == 2


def test_what_decides_between_names_says_what_both_are_called(tmp_path: Path) -> None:
    """None of the two is called a chest."""
    found = survey(tmp_path, named(2, SeriesDescription="1.0 B70f"), named(3, SeriesDescription="ABDOMEN"))
    reason = found.verdict(found.judged[1]).reason
    assert reason == "It is labelled as another body part, the chosen series is not labelled by body part."


def test_a_series_of_another_part_is_read_where_it_is_the_only_one(tmp_path: Path) -> None:
    """Names order series, they refuse none."""
    (judged,) = (found := survey(tmp_path, named(3, SeriesDescription="ABDOMEN 5.0"))).judged
    assert judged.region_rank == 2
    assert found.verdict(judged).outcome is SeriesOutcome.CHOSEN


@pytest.mark.parametrize("description", ["CHEST SPINE BONE", "R LUNG TARGET"])
def test_a_narrow_field_of_view_yields_to_the_whole_chest(tmp_path: Path, description: str) -> None:
    """A reconstruction of the spine or of one lung, though its slices are thinner."""
    whole = named(3, height=(20, 2.5), side_mm=360.0, SeriesDescription="CHEST 2.5")
    target = named(2, height=(40, 1.25), side_mm=180.0, SeriesDescription=description)
    found = survey(tmp_path, target, whole)
    assert found.chosen is not None
    assert found.chosen.number == 3
    narrow = found.verdict(found.judged[0])
    assert narrow.reason == "Its images are 180 mm wide, those of the chosen series 360 mm."


@pytest.mark.parametrize(
    ("thin_mm", "coarse_mm", "chosen"), [(270.0, 500.0, 2), (260.0, 360.0, 2), (240.0, 320.0, 2), (250.0, 360.0, 3)]
)
def test_fields_of_view_that_show_both_lungs_are_as_good_as_each_other(
    tmp_path: Path, thin_mm: float, coarse_mm: float, chosen: int
) -> None:
    """Down to 260 mm, or to 75 % of the widest, the thinner slices decide."""
    thin = named(2, height=(40, 1.25), side_mm=thin_mm)
    coarse = named(3, height=(20, 2.5), side_mm=coarse_mm)
    assert chosen_number(tmp_path, thin, coarse) == chosen


def test_a_narrow_series_is_read_where_it_is_the_only_one(tmp_path: Path) -> None:
    """As of a child."""
    assert chosen_number(tmp_path, named(2, side_mm=180.0)) == 2


@pytest.mark.parametrize("others", [[], [180], [30, 180]])
def test_a_series_of_another_part_decides_nothing_among_those_of_the_chest(tmp_path: Path, others: list[int]) -> None:
    """However tall and wide it is: the whole chest is read, not the thin slices of its upper part."""
    whole = named(2, height=(66, 5.0), side_mm=250.0, SeriesDescription="CHEST 5.0", ConvolutionKernel="STANDARD")
    part = named(3, height=(130, 1.25), side_mm=200.0, SeriesDescription="CHEST HR UPPER LUNG")
    tall = [
        named(4 + n, height=(slices, 5.0), side_mm=500.0, SeriesDescription="NECK ABDOMEN PELVIS")
        for n, slices in enumerate(others)
    ]
    assert chosen_number(tmp_path, whole, part, *tall) == 2


def test_a_chest_is_no_worse_for_what_the_other_series_shows_besides(tmp_path: Path) -> None:
    """350 mm hold the lungs; 650 mm hold the abdomen too."""
    chest = named(2, height=(280, 1.25), SeriesDescription="CHEST LUNG 1.25", ConvolutionKernel="LUNG")
    trunk = named(3, height=(130, 5.0), SeriesDescription="CHEST ABD PELVIS 5.0", ConvolutionKernel="STANDARD")
    found = survey(tmp_path, chest, trunk)
    assert found.chosen is found.judged[0]
    assert not any(reason.startswith("coverage") for reason in found.verdict(found.judged[0]).speaks_against)


def test_a_tall_narrow_series_yields_to_a_chest_of_usual_height(tmp_path: Path) -> None:
    """A reconstruction of the whole spine, under no name."""
    spine = named(2, height=(240, 2.0), side_mm=200.0)
    assert chosen_number(tmp_path, spine, named(3, height=(66, 5.0), side_mm=360.0)) == 3
