"""Which rule of a site fits a received study."""

import time
import tomllib
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.rules import MONDAY_NOON, fits, rule, ruled_series, ruled_study, settings_with
from config.load import settings_from_document
from config.rules import RuleSettings
from dicom_node.rules import ImageFacts, image_reader, is_like, trials
from dicom_node.rules_decision import decision_by, destinations_by, text_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
PEERS = [
    {"name": name, "ae_title": name.upper(), "host": "localhost", "port": 104, "receives_results": True}
    for name in ("pacs", "teaching")
]

FITTING = [
    {},
    {"calling_ae_title": ["CT?"]},
    {"called_ae_title": "dicomnode"},
    {"modality": ["MR", "CT"]},
    {"body_part": "chest"},
    {"study_description": "*thorax*"},
    {"series_description": "lung*br6?"},
    {"kernel": "br64*"},
    {"thinnest_mm": 0.5, "thickest_mm": 1.0},
    {"hours": "12:00-12:01"},
    {"hours": "22:00-13:00"},
    {"weekdays": ["sun", "mon"]},
]
NOT_FITTING = [
    {"calling_ae_title": "CT"},
    {"called_ae_title": "OTHER"},
    {"modality": "MR"},
    {"body_part": "head"},
    {"study_description": "*abdomen*"},
    {"series_description": "br64"},
    {"kernel": "b30*"},
    {"thinnest_mm": 1.1},
    {"thickest_mm": 0.9},
    {"hours": "07:00-12:00"},
    {"hours": "22:00-12:00"},
    {"weekdays": "tue"},
]


@pytest.mark.parametrize("match", FITTING)
def test_a_rule_fits_what_it_names(match: dict[str, object]) -> None:
    """One line of a rule at a time."""
    assert fits(match)


@pytest.mark.parametrize("match", NOT_FITTING)
def test_a_rule_does_not_fit_what_differs_in_one_line(match: dict[str, object]) -> None:
    """All lines have to fit; this one does not."""
    (misfit_key,) = match
    study = ruled_study()
    facts = ImageFacts(kernel="Br64d", slice_thickness_mm=1.0)
    (trial,) = trials([rule(match=match)], study, read=lambda _: facts, zone=UTC)
    assert not trial.fits
    misfits = [*trial.misfits, *(misfit for one in trial.series for misfit in one.misfits)]
    assert [misfit.key for misfit in misfits] == [misfit_key]


def test_all_lines_have_to_fit_one_series() -> None:
    """A lung kernel in one series and a chest in another is no chest with a lung kernel."""
    lung = ruled_series(body_part="", description="lung")
    chest = ruled_series(series_instance_uid="1.2.3.2", description="soft")
    match = {"body_part": "chest", "series_description": "lung"}
    assert not fits(match, ruled_study(lung, chest))
    assert fits(match, ruled_study(lung, chest, replace(chest, description="lung")))


def test_a_series_that_does_not_say_its_thickness_fits_no_rule_that_names_one() -> None:
    """A missing value is not 0 mm."""
    assert not fits({"thickest_mm": 3.0}, image=ImageFacts())
    assert fits({"modality": "CT"}, image=ImageFacts())


def test_images_are_only_read_where_a_rule_asks_and_the_rest_fits() -> None:
    """Reading files costs."""
    asked: list[Path] = []

    def read(path: Path) -> ImageFacts:
        asked.append(path)
        return ImageFacts(kernel="b70", slice_thickness_mm=1)

    rules = [rule("a", match={"modality": "MR", "kernel": "x"}), rule("b", match={"modality": "CT"})]
    assert [trial.fits for trial in trials(rules, ruled_study(), read=read)] == [False, True]
    assert asked == []


def test_brackets_in_a_pattern_mean_themselves() -> None:
    """Descriptions have brackets; only * and ? are special."""
    assert is_like("Lung [HD]", "*[hd]")
    assert not is_like("Lung H", "*[hd]")


def test_no_pattern_takes_long() -> None:
    """Many stars against a long text that nearly fits; the bound is generous, doubling would take ages."""
    before = time.process_time()
    assert not is_like("a" * 5000, "*a" * 31 + "*b")
    assert time.process_time() - before < 5


def test_the_first_rule_that_fits_decides(tmp_path: Path) -> None:
    """In the order of the file."""
    rules = [
        rule("head", run=False, match={"body_part": "head"}),
        rule("ct1", priority="urgent", results={"pacs": ["sr"]}, match={"calling_ae_title": "CT1"}),
        rule("rest", run=False, reason="not wanted"),
    ]
    settings = settings_with(tmp_path, *rules, peers=PEERS)
    decision = decision_by(settings, ruled_study())
    assert (decision.rule, decision.runs, decision.priority) == ("ct1", True, "urgent")
    assert decision.why == "rule ct1: run, urgent priority; results to pacs (sr)"
    (pacs,) = destinations_by(settings, decision)
    assert (pacs.name, pacs.results) == ("pacs", ("sr",))


def test_a_study_that_no_rule_fits_runs_and_goes_where_the_peers_say(tmp_path: Path) -> None:
    """With rules and without; without any there is nothing to tell."""
    settings = settings_with(tmp_path, rule("mr", run=False, match={"modality": "MR"}), peers=PEERS)
    decision = decision_by(settings, ruled_study())
    assert (decision.runs, decision.rule) == (True, "")
    assert destinations_by(settings, decision) == settings.destinations
    assert decision_by(settings_with(tmp_path), ruled_study()).why == ""


def test_a_rule_may_send_to_nobody(tmp_path: Path) -> None:
    """An empty list is not "everything"."""
    settings = settings_with(tmp_path, rule("quiet", results={"pacs": []}), peers=PEERS)
    decision = decision_by(settings, ruled_study())
    assert destinations_by(settings, decision) == ()
    assert "results to nobody" in decision.why


def test_a_peer_that_is_no_longer_configured_is_left_out(tmp_path: Path) -> None:
    """The decision may be older than the configuration."""
    decision = decision_by(settings_with(tmp_path, rule(results={"pacs": ["sr"], "gone": ["sr"]})), ruled_study())
    later = settings_with(tmp_path, peers=PEERS)
    assert [peer.name for peer in destinations_by(later, decision)] == ["pacs"]


def test_an_operator_who_wants_a_skipped_study_gets_it(tmp_path: Path) -> None:
    """The history says both."""
    settings = settings_with(tmp_path, rule("never", run=False, reason="not here"))
    decision = decision_by(settings, ruled_study(is_asked_for=True))
    assert decision.runs
    assert decision.why == "rule never says not to run it: not here; an operator asked for it, so it is run"
    assert decision_by(settings, ruled_study()).why.startswith("not run by rule never: not here; `dicom-node")


def test_the_text_of_a_rule_changes_with_what_it_says() -> None:
    """It tells which version of a rule decided; a default that is written out changes nothing."""
    assert text_of(rule(priority="low")) != text_of(rule(priority="urgent"))
    assert text_of(rule(run=True)) == text_of(rule())


def rules_of_the_document() -> tuple[RuleSettings, ...]:
    """Its examples, with the peers that they name."""
    text = DOCUMENT.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    return settings_from_document({"peers": PEERS, **tomllib.loads(text)}).rule


def test_the_examples_of_the_document_are_rules() -> None:
    """They load as they stand there, with the peers that they name."""
    rules = rules_of_the_document()
    assert [one.name for one in rules] == ["phantoms", "emergency at night", "thin chest", "everything else"]
    night = ruled_series(calling_ae_titles=("CT_ER1",))
    at = MONDAY_NOON.replace(hour=23)
    found = [
        trial.fits
        for trial in trials(rules, ruled_study(night, last_instance_at=at), read=lambda _: ImageFacts(), zone=UTC)
    ]
    assert found == [False, True, False, True]


@pytest.mark.parametrize(("slices_mm", "fits_thin"), [(1.0, True), (5.0, False)])
def test_a_scout_is_no_thin_chest_series_for_the_document(slices_mm: float, fits_thin: bool) -> None:
    """It says 1 mm and CHEST like one."""
    scout = ruled_series(series_instance_uid="1.2.3.9", description="Topogram 0.6 T20f", image=Path("objects/9.dcm"))

    def read(image: Path) -> ImageFacts:
        return ImageFacts(slice_thickness_mm=1.0 if image == scout.image else slices_mm)

    found = list(trials(rules_of_the_document(), ruled_study(ruled_series(), scout), read=read, zone=UTC))
    assert [one.fits for one in found if one.name == "thin chest"] == [fits_thin]


def test_hours_and_days_are_those_of_the_zone() -> None:
    """Noon in UTC is Monday evening elsewhere, and midnight passes into Tuesday."""
    late = ruled_study(last_instance_at=MONDAY_NOON + timedelta(hours=11, minutes=30))
    assert fits({"hours": "23:00-06:00", "weekdays": "mon"}, late)
    assert fits(
        {"hours": "23:00-06:00", "weekdays": "tue"}, ruled_study(last_instance_at=MONDAY_NOON + timedelta(hours=13))
    )


def test_a_rule_for_everything_says_so() -> None:
    """Rules behind it would never be reached."""
    assert RuleSettings(name="all").fits_everything
    assert not rule(match={"modality": "CT"}).fits_everything


def test_the_stored_image_says_kernel_and_slice_thickness(tmp_path: Path) -> None:
    """By its file; one that is gone or damaged says nothing, and stops nobody. A scout has no slices."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, "1.2.3.1.1"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = "1.2.3", "1.2.3.1", "CT"
    image.ConvolutionKernel, image.SliceThickness = ["Br64d", "3"], "1.5"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(tmp_path / "1.dcm", enforce_file_format=True)
    (tmp_path / "2.dcm").write_bytes((tmp_path / "1.dcm").read_bytes()[:200])
    image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    image.save_as(tmp_path / "3.dcm", enforce_file_format=True)
    read = image_reader(tmp_path)
    assert read(Path("3.dcm")) == ImageFacts(kernel="Br64d")
    assert read(Path("1.dcm")) == ImageFacts(kernel="Br64d", slice_thickness_mm=1.5)
    assert read(Path("2.dcm")) == read(Path("gone.dcm")) == ImageFacts()
