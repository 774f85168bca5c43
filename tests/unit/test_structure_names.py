"""What names of structures mean: a whole lung, a lesion, something that looks like one, or nothing."""

import pytest

from pipeline.importers.structures import Structure, structure_coded, structure_named

RIGHT, LEFT, LUNGS = Structure.RIGHT_LUNG, Structure.LEFT_LUNG, Structure.LUNGS
LESION, NOT_KNOWN, NOTHING = Structure.LESION, Structure.NOT_KNOWN, Structure.NOTHING


def meant(name: str) -> Structure:
    """Without a choice of the user."""
    return structure_named(name, {})


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("Lung_R", RIGHT),
        ("Rt Lung", RIGHT),
        ("Lung-Right 2", RIGHT),
        ("left lung", LEFT),
        ("LUNG_LT", LEFT),
        ("Lung (left)", LEFT),
        ("Lungs", LUNGS),
        ("Lung_Total", LUNGS),
        ("Lung_L+R", LUNGS),
        ("Both lungs", LUNGS),
        ("Lungs2", LUNGS),
    ],
)
def test_a_lung_has_nothing_but_sides_and_numbers_beside_its_name(name: str, structure: Structure) -> None:
    """As planning systems and segmentation networks write it."""
    assert meant(name) is structure


@pytest.mark.parametrize(
    "name",
    [
        "Lungs-GTV",
        "Lung_R-PTV",
        "Lungs-ITV",
        "Lung-GTV",
        "Lungs minus GTV",
        "Lungs excl",
        "Lungs excl. vessels",
        "Lungs minus lesion",
        "Right lung without pneumonia",
        "Lung_Ipsi",
        "Lung_Eval",
    ],
)
def test_a_lung_that_lacks_something_is_no_lung(name: str) -> None:
    """What was taken from it would be missing from the mask, and it is no lesion either."""
    assert meant(name) is NOTHING
    assert structure_coded(name, [("SCT", "39607008", "Lung")], {}) is (
        LUNGS if name in {"Lung_Ipsi", "Lung_Eval"} else NOTHING
    )


@pytest.mark.parametrize(
    "name",
    [
        "lung cancer",
        "Lung adenocarcinoma",
        "Lung abscess",
        "Lung cyst",
        "left lung contusion",
        "pulmonary infarct",
        "Lung PTV",
        "ITV",
        "Non-COVID pneumonia",
        "non_infectious opacity",
        "Noninfectious opacity",
    ],
)
def test_what_looks_like_a_lesion_and_is_another_disease_is_not_known(name: str) -> None:
    """Neither lung nor lesion."""
    assert meant(name) is NOT_KNOWN


@pytest.mark.parametrize("name", ["No lesion", "no_pneumonia", "No ground glass", "Free of infection"])
def test_what_a_name_says_is_not_there_is_nothing(name: str) -> None:
    """A drawn healthy part is no lesion."""
    assert meant(name) is NOTHING


@pytest.mark.parametrize(
    "name", ["Lesion no. 3", "No. 3 lesion", "lung lesion", "Lung-lesion", "Pneumonia without effusion", "COVID_19"]
)
def test_a_lesion_stays_one(name: str) -> None:
    """Also with a number, in a lung, or beside what was left out."""
    assert meant(name) is LESION


def test_a_coded_lung_has_the_side_that_its_name_says() -> None:
    """Whatever else stands in it."""
    codes = [("SCT", "39607008", "Lung")]
    assert structure_coded("Right lung, edited", codes, {}) is RIGHT
    assert structure_coded("edited", codes, {}, sides=[("SCT", "7771000")]) is LEFT


def test_the_user_decides_before_every_rule() -> None:
    """Also of what would mean nothing."""
    assert structure_named("Lungs-GTV", {"lungs-gtv": "lungs"}) is LUNGS
