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


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("Right upper lobe mass", NOT_KNOWN),
        ("Mass, right upper lobe", NOT_KNOWN),
        ("RUL_lobe_nodule_2", NOT_KNOWN),
        ("nodule near vessel", NOT_KNOWN),
        ("tracheal tumour", NOT_KNOWN),
        ("bronchogenic carcinoma", NOT_KNOWN),
        ("Lobar pneumonia", LESION),
        ("pneumonia left lower lobe", LESION),
        ("Bronchopneumonia", LESION),
        ("peribronchial infiltrate", LESION),
        ("lower lobe with consolidation", Structure.CONSOLIDATION),
        ("consolidation with air bronchogram", Structure.CONSOLIDATION),
        ("perivascular ground glass, not vessel", Structure.GROUND_GLASS),
    ],
)
def test_a_lesion_is_one_wherever_its_name_says_that_it_is(name: str, structure: Structure) -> None:
    """A lobe, a vessel or an airway in the name of a lesion is its place."""
    assert meant(name) is structure


@pytest.mark.parametrize(
    "name",
    [
        *("vessels", "airways", "Bronchi", "Lobe_RUL", "left lower lobe", "oblique fissure", "bronchiectasis"),
        *(
            "tumour vessels",
            "vessel in lesion",
            "nodule-feeding vessel",
            "Bronchus in pneumonia",
            "vessels of the mass",
        ),
        *("infected lobe", "tumour-bearing lobe"),
        *("right lobe, no mass", "lobe without nodule", "tumour-free lobe", "uninfected lobe", "vessel (not lesion)"),
    ],
)
def test_a_vessel_or_lobe_is_nothing_also_where_its_name_tells_of_a_lesion(name: str) -> None:
    """As its own, or as not there."""
    assert meant(name) is NOTHING


def test_a_coded_lung_has_the_side_that_its_name_says() -> None:
    """Whatever else stands in it."""
    codes = [("SCT", "39607008", "Lung")]
    assert structure_coded("Right lung, edited", codes, {}) is RIGHT
    assert structure_coded("edited", codes, {}, sides=[("SCT", "7771000")]) is LEFT


def test_the_user_decides_before_every_rule() -> None:
    """Also of what would mean nothing."""
    assert structure_named("Lungs-GTV", {"lungs-gtv": "lungs"}) is LUNGS
