"""The page of the rules: what holds, what others would do, saving them."""

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from builders.index import received
from builders.site import Pages, form_token, pages_in
from config import load_settings
from dicom_node.configuring import Configuration
from dicom_node.settings_file import SettingsFile
from dicom_node.web.audit_hook import Deed
from storage.index import Index
from storage.lifecycle import State

FILE = """\
# ours
[node]
data_dir = "{folder}"

[web]
login = {login}

[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
receives_results = true

# Heads go to the other node.
[[rule]]
name = "no heads"
run = false  # since spring
match = {{ body_part = "head" }}

[log]
# quiet
level = "WARNING"
"""
CANDIDATE = '# Only thin ones.\n[[rule]]\nname = "from CT1"\npriority = "urgent"\nresults = { pacs = ["sr"] }\n[rule.match]\ncalling_ae_title = ["CT1"]\n'


def pages_with_file(pages: Pages, *, login: bool) -> Path:
    """The pages over a configuration file, with a received study 1.2.3 of CT1; the file."""
    path = pages.folder / "node.toml"
    path.write_text(FILE.format(folder=pages.folder, login=str(login).lower()))
    pages.site = replace(pages.site, file=SettingsFile(path, load_settings(path)))
    pages.index.record_received([received(series_description="ZQSERIES")])
    return path


def post(browser: TestClient, where: str, **form: str):  # type: ignore[no-untyped-def]  # of httpx
    """The answer to a form of the page."""
    shown = browser.get("/rules").text
    sha256 = shown.split('name="sha256" value="')[1].split('"')[0]
    return browser.post(where, data={"form_token": form_token(browser), "sha256": sha256, **form})


def test_the_page_lists_the_rules_and_tries_them_on_a_study(tmp_path: Path) -> None:
    """Which rule fits and why not the others."""
    with pages_in(tmp_path) as pages:
        pages_with_file(pages, login=False)
        text = pages.browser().get("/rules", params={"study": "1.2.3"}).text
    assert "do not run - body_part head" in text
    assert "body_part asks for head" in text
    assert "no rule of the site fits" in text
    assert "Results go to pacs (sr, seg, pdf)." in text
    assert "# Heads go to the other node." in text and "# since spring" in text


def test_other_rules_are_tried_without_changing_anything(tmp_path: Path) -> None:
    """Neither the file nor the study; a viewer may do so."""
    with pages_in(tmp_path, login=True) as pages:
        path = pages_with_file(pages, login=True)
        before = path.read_bytes()
        answer = post(pages.logged_in("vera"), "/rules/try", study="1.2.3", text=CANDIDATE)
        assert answer.status_code == 200
        assert "rule from CT1: run, urgent priority; results to pacs (sr)" in answer.text
        assert path.read_bytes() == before
        assert state(pages.index) is State.RECEIVING
        assert [event.deed for event in pages.events][-1] is Deed.STUDY_SEEN


def state(index: Index) -> State:
    """Where the study stands."""
    view = index.study("1.2.3")
    assert view is not None
    return view.state


def test_an_administrator_saves_rules_every_comment_stays_and_it_can_be_undone(tmp_path: Path) -> None:
    """Outside of the rules nothing changes; the pages have the new ones at once."""
    with pages_in(tmp_path, login=True) as pages:
        path = pages_with_file(pages, login=True)
        before = path.read_text()
        browser = pages.logged_in("ann")
        answer = post(browser, "/rules/save", text=CANDIDATE.replace("\n", "\r\n"))
        assert answer.status_code == 200, answer.text
        assert "dicom-node config restore 1" in answer.text
        head, tail = before.split("# Heads go")[0], before[before.index("[log]") :]
        assert path.read_text() == head + CANDIDATE + "\n" + tail
        assert pages.site.settings.rule[0].name == "from CT1"
        assert pages.events[-1].deed is Deed.RULES_CHANGED
        Configuration(path, clock=pages.clock).restore(1, by="ann")
        assert path.read_text() == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[rule]]\nname = "a"\nresults = { nobody = ["sr"] }', "[rule #1].results: names no [[peers]] block"),
        ('[[rule]]\nname = "a"\n[listen]\nport = 1', "listen: does not belong here"),
        ("[[rule]\n", "is not valid TOML"),
    ],
)
def test_mistakes_are_shown_and_nothing_is_saved(tmp_path: Path, text: str, problem: str) -> None:
    """The text stays in the form."""
    with pages_in(tmp_path) as pages:
        path = pages_with_file(pages, login=False)
        before = path.read_bytes()
        answer = post(pages.browser(), "/rules/save", text=text)
        assert (answer.status_code, 'role="alert"' in answer.text) == (200, True)
        assert problem in answer.text
        assert path.read_bytes() == before


def test_who_may_only_look_saves_nothing(tmp_path: Path) -> None:
    """Nor does a form of another site, or one made from an older file."""
    with pages_in(tmp_path, login=True) as pages:
        path = pages_with_file(pages, login=True)
        before = path.read_bytes()
        assert post(pages.logged_in("vera"), "/rules/save", text=CANDIDATE).status_code == 403
        ann = pages.logged_in("ann")
        assert post(ann, "/rules/save", text=CANDIDATE, form_token="forged").status_code == 403
        stale = post(ann, "/rules/save", text=CANDIDATE, sha256="0" * 64)
        assert "Somebody else changed the configuration" in stale.text
        assert path.read_bytes() == before


@pytest.mark.parametrize("key", ["series_description", "study_description", "body_part", "kernel"])
def test_who_is_not_logged_in_tries_no_rules_that_ask_for_text(tmp_path: Path, key: str) -> None:
    """Else one could guess letter by letter what is hidden; neither is it told whether such a rule fits."""
    text = CANDIDATE + f'{key} = ["*chest*"]\n'
    with pages_in(tmp_path) as pages:
        pages_with_file(pages, login=False)
        stranger = post(pages.browser(), "/rules/try", study="1.2.3", text=text).text
        known = post(pages.logged_in("vera"), "/rules/try", study="1.2.3", text=text).text
    assert "log in to try rules that ask for" in stranger
    assert "What they would do" not in stranger and "ZQSERIES" not in stranger
    assert "What they would do" in known
    assert ("series_description asks for *chest*, and it is ZQSERIES" in known) is (key == "series_description")


def test_who_is_not_logged_in_tries_the_rules_in_force_with_others_beside_them(tmp_path: Path) -> None:
    """What a rule of the site asks for is shown, what the study says is not; rules that ask for no text are anybody's."""
    with pages_in(tmp_path) as pages:
        path = pages_with_file(pages, login=False)
        in_force = path.read_text().partition("# Heads")[2].partition("[log]")[0]
        stranger = post(pages.browser(), "/rules/try", study="1.2.3", text=CANDIDATE + "#" + in_force).text
    assert "rule from CT1: run, urgent priority" in stranger
    assert "body_part asks for head" in stranger and "and it is" not in stranger


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
def test_rules_with_a_number_of_any_length_are_told_so(tmp_path: Path, number: str) -> None:
    """Tried or saved."""
    with pages_in(tmp_path) as pages:
        pages_with_file(pages, login=False)
        text = f'[[rule]]\nname = "x"\npriority = {number}\n'
        for where in ("/rules/try", "/rules/save"):
            assert "holds a number that is too long" in post(pages.browser(), where, text=text).text
