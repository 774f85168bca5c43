"""What is no acquired slice is told by the words of its header, and the reason says so."""

from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.choose import choose_series
from pipeline.contrast import ContrastPhase, contrast_phase
from pipeline.survey import SeriesOutcome, SeriesVerdict, survey_series

LUNG = CtSeries(uid="1.2.3.1", number=2, kernel="LUNG")
OTHER = CtSeries(uid="1.2.3.2", number=3, kernel="LUNG")


def changed(series: CtSeries, **values: object) -> list[FileDataset]:
    """The images of a series with other values in their headers."""
    images = ct_images(series)
    for image in images:
        for keyword, value in values.items():
            setattr(image, keyword, value)
    return images


def verdicts(folder: Path, *series: list[FileDataset]) -> dict[str, SeriesVerdict]:
    """What is said of each series, by UID."""
    paths = [path for n, images in enumerate(series) for path in write_images(folder, images, prefix=f"s{n}")]
    survey = survey_series(paths)
    return {judged.series_instance_uid: survey.verdict(judged) for judged in survey.judged}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]}, "it is a reformat"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MPR"]}, "it is a reformat"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "MIP"]}, "it is a projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIN_IP"]}, "it is a projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]}, "it is a projection"),
        ({"SeriesDescription": "Lung MIP 8mm"}, "it is a projection"),
        ({"SeriesDescription": "MinIP axial"}, "it is a projection"),
        ({"SeriesDescription": "4D average"}, "it is a projection"),
        ({"DerivationDescription": "Maximum intensity projection"}, "it is a projection"),
        ({"DerivationDescription": "multi-planar reconstruction"}, "it is a reformat"),
        ({"ImageType": ["DERIVED", "PRIMARY", "IODINE"]}, "it is a computed map"),
        ({"SeriesDescription": "DE Lung PBV"}, "it is a computed map"),
        ({"SeriesDescription": "Dose Report"}, "it is a dose report"),
        ({"SeriesDescription": "Patient Protocol"}, "it is a dose report"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "it is a dose report or a screen capture"),
        ({"BurnedInAnnotation": "YES"}, "it is a dose report or a screen capture"),
    ],
)
def test_what_is_no_slice_is_refused_for_what_it_is(tmp_path: Path, values: dict[str, object], words: str) -> None:
    """By Image Type, by description, by derivation, by burned-in text."""
    found = verdicts(tmp_path, ct_images(LUNG), changed(OTHER, **values))
    assert found[LUNG.uid].outcome is SeriesOutcome.CHOSEN
    assert found[OTHER.uid].outcome is SeriesOutcome.REFUSED
    assert words in found[OTHER.uid].speaks_against[0]


@pytest.mark.parametrize(
    "values",
    [
        {"SeriesDescription": "Lung 1.0 MPR"},
        {"SeriesDescription": "Thorax simplified"},
        {"DerivationDescription": "lossy compression, average ratio 10:1"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]},
    ],
)
def test_words_that_only_look_like_it_refuse_nothing(tmp_path: Path, values: dict[str, object]) -> None:
    """A part of a word, a habit of a scanner, a note on compression."""
    found = verdicts(tmp_path, changed(LUNG, **values))
    assert found[LUNG.uid].outcome is SeriesOutcome.CHOSEN


def test_projections_inside_the_series_are_left_out_and_counted(tmp_path: Path) -> None:
    """As scouts are."""
    extra = ct_images(LUNG)[:2]
    for number, image in enumerate(extra):
        image.ImageType = ["DERIVED", "SECONDARY", "MIP"]
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.1.90{number}"
    choice = choose_series(write_images(tmp_path, [*ct_images(LUNG), *extra]))
    assert len(choice.slice_headers) == LUNG.shape[0]
    assert "2 projected images within the series left out." in choice.qualifications


@pytest.mark.parametrize(
    ("description", "agent", "phase"),
    [
        ("Thorax nativ", "Imeron 350", ContrastPhase.NATIVE),
        ("CHEST W/O CONTRAST", "", ContrastPhase.NATIVE),
        ("Chest non-contrast 1.0", "", ContrastPhase.NATIVE),
        ("CTPA 1.0", "Omnipaque", ContrastPhase.ARTERIAL),
        ("Thorax art. 1.0", "", ContrastPhase.ARTERIAL),
        ("Thorax venös", "", ContrastPhase.VENOUS),
        ("Abd portal venous", "", ContrastPhase.VENOUS),
        ("Delayed 5 min", "", ContrastPhase.LATE),
        ("Chest with contrast", "", ContrastPhase.GIVEN),
        ("Lung 1.0", "Imeron 350", ContrastPhase.GIVEN),
        ("Lung 1.0", "NONE", ContrastPhase.UNKNOWN),
        ("CENTRAL LUNG", "", ContrastPhase.UNKNOWN),
        ("THORAX_NATIV_1.0_B70f", "Ultravist 370", ContrastPhase.NATIVE),
        ("Thorax_venoes_1.0", "Ultravist 370", ContrastPhase.VENOUS),
        ("Chest_W_O", "Omnipaque", ContrastPhase.NATIVE),
        ("CHEST NO CONTRAST", "", ContrastPhase.NATIVE),
        ("CHEST NO IV CONTRAST", "", ContrastPhase.NATIVE),
        ("CHEST PRE CONTRAST", "", ContrastPhase.NATIVE),
        ("CHEST PRE-CONTRAST", "Omnipaque", ContrastPhase.NATIVE),
        ("CHEST PRECONTRAST", "Omnipaque", ContrastPhase.NATIVE),
        ("CHEST C-", "Omnipaque", ContrastPhase.NATIVE),
        ("Thorax ohne KM", "Imeron 350", ContrastPhase.NATIVE),
        ("THORAX_SANS_INJECTION", "Iomeron", ContrastPhase.NATIVE),
        ("Torax sin contraste", "Omnipaque", ContrastPhase.NATIVE),
        ("Torace senza mdc", "Iomeron", ContrastPhase.NATIVE),
        ("Thorax mit KM", "", ContrastPhase.GIVEN),
        ("THORAX AVEC INJECTION", "", ContrastPhase.GIVEN),
        ("Torax con contraste", "", ContrastPhase.GIVEN),
        ("C-SPINE", "", ContrastPhase.UNKNOWN),
        ("CHEST C+", "", ContrastPhase.GIVEN),
        ("Chest post contrast", "", ContrastPhase.GIVEN),
        ("Thorax post KM 1.0", "", ContrastPhase.GIVEN),
        ("Thorax post-IV", "", ContrastPhase.GIVEN),
        ("Chest 1.0 post", "", ContrastPhase.GIVEN),
        ("CT Thorax Post COVID", "", ContrastPhase.UNKNOWN),
        ("Chest post-op 1.0", "", ContrastPhase.UNKNOWN),
    ],
)
def test_contrast_phases_are_told_apart(description: str, agent: str, phase: ContrastPhase) -> None:
    """By the series' own name first: a native scan often carries the agent of the whole examination."""
    assert contrast_phase(description, agent) is phase


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "None given",
        "NO IV CONTRAST",
        "non-contrast",
        "N/A",
        "-",
        "0",
        "xxx",
        "REMOVED",
        "Anonymized",
        "De-identified",
        "ohne KM",
        "Keines",
        "W/O",
        "unknown",
    ],
)
def test_agents_that_name_none_are_none(agent: str) -> None:
    """Scanners write that none was given, anonymisers that something stood there."""
    assert contrast_phase("Thorax 1.0", agent) is ContrastPhase.UNKNOWN


@pytest.mark.parametrize(
    "agent", ["Omnipaque 350", "NONIONIC 100 ML", "Novopaque", "IV", "APPLIED", "100cc", "Ultravist"]
)
def test_agents_that_name_one_were_given(agent: str) -> None:
    """Also where the word is no agent's name."""
    assert contrast_phase("Thorax 1.0", agent) is ContrastPhase.GIVEN


def test_of_two_phases_the_native_one_is_read(tmp_path: Path) -> None:
    """And the reason names both; what was acquired with contrast would be said."""
    venous = changed(LUNG, SeriesDescription="Thorax venous", ContrastBolusAgent="Imeron")
    found = verdicts(tmp_path, venous, changed(OTHER, SeriesDescription="Thorax native"))
    assert found[OTHER.uid].outcome is SeriesOutcome.CHOSEN
    assert found[LUNG.uid].speaks_against == ("venous contrast phase, the chosen series: without contrast",)
    assert any("with contrast" in note for note in found[LUNG.uid].notes)


def test_a_lossy_series_yields_to_a_lossless_one(tmp_path: Path) -> None:
    """All else being equal."""
    found = verdicts(tmp_path, changed(LUNG, LossyImageCompression="01"), ct_images(OTHER))
    assert found[OTHER.uid].outcome is SeriesOutcome.CHOSEN
    assert "compressed with loss" in found[LUNG.uid].reason


def thick(uid: str, spacing_mm: float, slices: int) -> list[FileDataset]:
    """A series of 40 mm with slices of this distance."""
    return ct_images(CtSeries(uid=uid, shape=(slices, 32, 32), spacing_mm=(spacing_mm, 10.0, 10.0)))


def test_slices_are_thin_enough_and_no_thinner_than_useful(tmp_path: Path) -> None:
    """1 mm before 2.5 mm, and before 0.5 mm, which shows no more and is noisier."""
    found = verdicts(tmp_path, thick("1.2.3.7", 0.5, 80), thick("1.2.3.8", 1.0, 40), thick("1.2.3.9", 2.5, 16))
    assert found["1.2.3.8"].outcome is SeriesOutcome.CHOSEN
    assert "noisier" in found["1.2.3.7"].reason
    assert "2.5 mm thick or apart" in found["1.2.3.9"].reason


def test_thick_slices_that_overlap_count_by_their_thickness(tmp_path: Path) -> None:
    """Slices of 5 mm every 1 mm are no thin slices; overlapping by itself is no fault."""
    overlapping = ct_images(CtSeries(uid="1.2.3.7", shape=(40, 32, 32), spacing_mm=(1.0, 10.0, 10.0)))
    for image in overlapping:
        image.SliceThickness = 5.0
    found = verdicts(tmp_path, overlapping, thick("1.2.3.8", 2.0, 20))
    assert found["1.2.3.8"].outcome is SeriesOutcome.CHOSEN
    assert found["1.2.3.7"].outcome is SeriesOutcome.PASSED_OVER


def test_what_speaks_for_and_against_each_is_kept(tmp_path: Path) -> None:
    """A soft kernel with thinner slices: passed over for the one, not for the other."""
    soft = ct_images(CtSeries(uid="1.2.3.8", shape=(40, 32, 32), spacing_mm=(1.0, 10.0, 10.0), kernel="STANDARD"))
    found = verdicts(tmp_path, soft, thick("1.2.3.9", 2.5, 16))
    assert found["1.2.3.9"].outcome is SeriesOutcome.CHOSEN
    assert "kernel: lung kernel LUNG" in found["1.2.3.9"].speaks_for
    assert any("slice thickness" in words for words in found["1.2.3.9"].speaks_against)
    assert any("slice thickness" in words for words in found["1.2.3.8"].speaks_for)
    assert "STANDARD" in found["1.2.3.8"].speaks_against[0]


@pytest.mark.parametrize("unplaced", [1, 3])
@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "PixelSpacing"])
def test_slices_that_do_not_say_where_they_lie_are_no_scouts(tmp_path: Path, unplaced: int, keyword: str) -> None:
    """At an end of the series the lung would end with the others, and nobody would see that some are missing."""
    images = ct_images(LUNG)
    for image in images[-unplaced:]:
        delattr(image, keyword)
    found = verdicts(tmp_path, images)[LUNG.uid]
    assert found.outcome is SeriesOutcome.REFUSED
    assert found.reason == f"{unplaced} of its images do not say where they lie in the patient."


def unplaced_secondary(uid: str) -> FileDataset:
    """A page with doses that came under the UID of the series."""
    image = ct_images(LUNG)[0]
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]
    del image.ImagePositionPatient
    return image


def test_secondary_images_without_a_place_are_left_out_under_their_own_name(tmp_path: Path) -> None:
    """Image Type says that they are no acquired slices."""
    found = verdicts(tmp_path, [*ct_images(LUNG), unplaced_secondary("1.2.3.1.998"), unplaced_secondary("1.2.3.1.999")])
    assert found[LUNG.uid].outcome is SeriesOutcome.CHOSEN
    assert found[LUNG.uid].notes == ("2 unplaced secondary images within the series left out.",)


def test_slices_without_a_place_of_a_secondary_series_are_slices(tmp_path: Path) -> None:
    """There Image Type tells none from the others."""
    images = changed(LUNG, ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    del images[-1].ImagePositionPatient
    found = verdicts(tmp_path, images)[LUNG.uid]
    assert found.reason == "1 of its images do not say where they lie in the patient."


def test_a_series_is_original_where_what_is_read_of_it_is(tmp_path: Path) -> None:
    """Two derived copies that are left out put it behind no other series."""
    copies = changed(LUNG, ImageType=["DERIVED", "SECONDARY", "AXIAL"])[18:20]
    for number, image in enumerate(copies):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.1.99{number}"
        image.PixelData = bytes(len(image.PixelData))
    found = verdicts(tmp_path, [*ct_images(LUNG), *copies], changed(OTHER, ConvolutionKernel="STANDARD"))
    assert found[LUNG.uid].outcome is SeriesOutcome.CHOSEN
    assert found[LUNG.uid].reason.startswith("Original axial CT, 40 slices")


def test_what_is_left_out_of_a_series_speaks_against_it_in_no_way(tmp_path: Path) -> None:
    """A copy whose values are no Hounsfield units is not read either."""
    copy = changed(LUNG, ImageType=["DERIVED", "SECONDARY", "AXIAL"], RescaleType="OD")[18]
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.999"
    found = verdicts(tmp_path, [*ct_images(LUNG), copy])[LUNG.uid]
    assert found.outcome is SeriesOutcome.CHOSEN
