"""The pages: who sees what, who may do what, and that every page is there."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from starlette.testclient import TestClient

from builders.analysis import STUDY_UID
from builders.index import received, state_of
from builders.site import CANARY, PASSWORD, Pages, add_finished_study, form_token, log_in, pages_in
from config import load_settings
from dicom_node.settings_file import SettingsFile
from dicom_node.web.audit_hook import Deed
from dicom_node.web.words import where
from storage.errors import IndexBusyError
from storage.lifecycle import State

ALL_PAGES = ("/", "/studies", f"/studies/{STUDY_UID}", "/peers", "/rules", "/settings", "/components")


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """Pages on loopback that ask for no login, with a finished study."""
    with pages_in(tmp_path) as made:
        add_finished_study(made)
        yield made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Pages]:
    """Pages that ask for a login, with a study that is being received."""
    with pages_in(tmp_path, login=True) as made:
        made.index.record_received([received("1.2.3")])
        yield made


@pytest.mark.parametrize("path", ALL_PAGES)
def test_every_page_is_there_and_is_told_to_the_audit_trail(pages: Pages, path: str) -> None:
    """Each page opens, forbids everything from elsewhere, is not kept by the browser."""
    answer = pages.browser().get(path)
    assert answer.status_code == 200, answer.text
    assert "<h1>" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert len(pages.events) == 1


@pytest.mark.parametrize("path", [*ALL_PAGES, "/login", f"/studies/{STUDY_UID}/revisions/1/contours.json"])
def test_who_is_not_logged_in_sees_nothing_of_the_patient(pages: Pages, path: str) -> None:
    """No text of the data set, and of the ID two characters."""
    text = pages.browser().get(path).text
    assert "ZQCANARY" not in text
    assert path != "/studies" or "ZQ•••" in text


def test_who_is_logged_in_sees_the_patient(pages: Pages) -> None:
    """Name, ID, description."""
    browser = pages.logged_in("vera")
    text = browser.get("/studies").text + browser.get(f"/studies/{STUDY_UID}").text
    for canary in ("ZQCANARYFAMILY, ZQCANARYGIVEN", "ZQCANARYID", "ZQCANARYSTUDY", "ZQCANARYACC"):
        assert canary in text


def test_the_search_tells_strangers_nothing_about_patients(pages: Pages) -> None:
    """It looks at UIDs alone for them; else one could guess a name letter by letter."""
    stranger, viewer = pages.browser(), pages.logged_in("vera")
    for text, is_of_patient in (("zqcanaryfam", True), ("ZQCANARYID", True), ("canaryacc", True), ("25.1001", False)):
        assert ("ZQ•••" in stranger.get("/studies", params={"text": text}).text) is not is_of_patient
        assert "ZQCANARYFAMILY" in viewer.get("/studies", params={"text": text}).text
    assert "No study fits" in viewer.get("/studies", params={"text": "nobody"}).text


def test_a_reason_that_was_typed_is_for_those_who_are_logged_in(pages: Pages) -> None:
    """It may name the patient; that somebody acted is for everybody."""
    assert post(pages.logged_in("ann"), f"/studies/{STUDY_UID}/discard", reason="ZQCANARYTYPED is not ours") == 303
    for path in ("/studies", f"/studies/{STUDY_UID}"):
        stranger, viewer = pages.browser().get(path).text, pages.logged_in("vera").get(path).text
        assert "by ann on the pages" in stranger and "ZQCANARY" not in stranger
        assert "by ann on the pages: ZQCANARYTYPED is not ours" in viewer


def test_a_study_shows_findings_and_deliveries(pages: Pages) -> None:
    """What the radiologist asks about."""
    browser = pages.logged_in("vera")
    text = browser.get(f"/studies/{STUDY_UID}").text
    for words in ("consolidation", "Slices are 9 mm apart", "Thinnest axial series", "pacs"):
        assert words in text


def test_findings_of_an_earlier_run_are_called_so(pages: Pages) -> None:
    """A late image opened the study again."""
    browser = pages.browser()
    assert "of an earlier run" not in browser.get(f"/studies/{STUDY_UID}").text
    pages.index.record_received([received(STUDY_UID, 99, patient=CANARY, patient_name="")])
    text = browser.get(f"/studies/{STUDY_UID}").text
    assert "These findings are of an earlier run, revision 1." in text and "consolidation" in text


def test_nothing_is_called_well_while_a_part_of_the_node_is_down(pages: Pages) -> None:
    """Whoever looks at the first line alone is not misled."""
    pages.index.beat("listen", "127.0.0.1:11112")
    assert "Not as it should be: Worker" in pages.browser().get("/components").text
    pages.index.beat("work", "GPUs: 0")
    assert "No alerts." in pages.browser().get("/components").text


def test_an_alert_leads_to_what_it_is_about() -> None:
    """Studies in a state, or the peers; the words stay those of the command line."""
    assert where("studies ended as delivery_failed: dicom-node study list --state delivery_failed") == (
        "/studies?state=delivery_failed"
    )
    assert where("pacs cannot be reached: dicom-node status says why") == "/peers"
    assert where("a study is lost: dicom-node study list --state lost") == where("fewer than 5 bytes are free") == ""


@pytest.mark.parametrize("path", [path for path in ALL_PAGES if path != f"/studies/{STUDY_UID}"])
def test_guarded_pages_lead_to_the_login_and_back(guarded: Pages, path: str) -> None:
    """Nothing is shown before."""
    answer = guarded.browser().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?then=")
    assert guarded.logged_in("vera").get(path).status_code == 200


def test_a_wrong_password_lets_nobody_in_and_makes_guessers_wait(guarded: Pages) -> None:
    """After a few tries even the right one is not looked at, until the wait is over."""
    browser = guarded.browser()
    assert [log_in(browser, "ann", "wrong").status_code for _ in range(6)] == [200, 200, 200, 200, 200, 429]
    assert log_in(browser, "ann", PASSWORD).status_code == 429
    guarded.clock.advance(5.1)
    assert log_in(browser, "ann", PASSWORD).status_code == 303
    assert [event.deed for event in guarded.events].count(Deed.LOGIN_REFUSED) == 7


def test_a_login_is_told_with_the_account(guarded: Pages) -> None:
    """Of one that was refused the name is left out: people type passwords there."""
    browser = guarded.browser()
    log_in(browser, "my-password", "")
    log_in(browser, "ann", PASSWORD)
    told = [(event.deed, event.by) for event in guarded.events]
    assert told == [(Deed.LOGIN_REFUSED, ""), (Deed.LOGGED_IN, "ann")]


def test_an_unknown_account_is_refused_like_a_wrong_password(guarded: Pages) -> None:
    """The page does not tell who has an account."""
    unknown, wrong = (log_in(guarded.browser(), name, "wrong") for name in ("nobody", "ann"))
    assert unknown.status_code == wrong.status_code == 200
    assert "Name or password is wrong." in unknown.text and "Name or password is wrong." in wrong.text


def test_a_session_ends_with_time_with_logging_out_and_with_a_new_password(guarded: Pages) -> None:
    """Each alone is enough."""
    idle, out, changed = (guarded.logged_in("vera") for _ in range(3))
    out.post("/logout", data={"form_token": form_token(out)})
    assert out.get("/").status_code == 303
    guarded.site.accounts.set_password("vera", password_hash=guarded.site.gate.hash(PASSWORD))
    assert changed.get("/").status_code == 303
    idle = guarded.logged_in("vera")
    guarded.clock.advance(1801)
    assert idle.get("/").status_code == 303


def test_the_login_leads_only_to_pages_of_the_node(guarded: Pages) -> None:
    """An address of another site is not followed."""
    for then in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "//["):
        browser = guarded.browser()
        form = {"name": "vera", "password": PASSWORD, "form_token": form_token(browser), "then": then}
        assert browser.post("/login", data=form).headers["location"] == "/"
        assert 'name="then" value="/"' in guarded.browser().get("/login", params={"then": then}).text


def post(browser: TestClient, path: str, **form: str) -> int:
    """Status of a form that a page of ours sends."""
    return browser.post(path, data={"form_token": form_token(browser), **form}).status_code


def refusal_of(browser: TestClient, path: str) -> str:
    """What the page that comes back by status 200 says that is wrong."""
    answer = browser.post(path, data={"form_token": form_token(browser)})
    found = re.search(r'role="alert">([^<]+)<', answer.text)
    assert answer.status_code == 200 and found, answer.text
    return found[1]


def test_a_viewer_looks_and_an_administrator_acts(guarded: Pages) -> None:
    """The same form, two roles."""
    assert post(guarded.logged_in("vera"), "/studies/1.2.3/discard", reason="test") == 403
    assert state_of(guarded.index) is State.RECEIVING
    assert "Discard" not in guarded.logged_in("vera").get("/studies/1.2.3").text
    ann = guarded.logged_in("ann")
    assert refusal_of(ann, "/studies/1.2.3/discard") == "Not discarded: say why the study is discarded."
    assert state_of(guarded.index) is State.RECEIVING
    assert post(ann, "/studies/1.2.3/discard", reason="sent by mistake") == 303
    assert state_of(guarded.index) is State.SKIPPED
    assert "by ann on the pages: sent by mistake" in ann.get("/studies/1.2.3").text
    assert "it is now not analysed" in refusal_of(ann, "/studies/1.2.3/complete")


@pytest.mark.parametrize("results", ["nobody receives any", "of a kind that was not made"])
def test_send_again_with_nothing_to_send_says_so_on_the_page(pages: Pages, results: str) -> None:
    """What helps is said, the attempt is in the audit trail; where nobody is to get results it is not offered."""
    settings = pages.site.file.settings
    (pacs,) = settings.peers
    made = pacs.model_copy(update={"results": ("key_objects",)})
    pages.site.file.settings = settings.model_copy(
        update={"peers": () if results == "nobody receives any" else (made,)}
    )
    browser, path = pages.logged_in("ann"), f"/studies/{STUDY_UID}"
    assert (f"{path}/resend" in browser.get(path).text) == (results != "nobody receives any")
    assert "see `receives_results`" in refusal_of(browser, f"{path}/resend")
    assert state_of(pages.index, STUDY_UID) is State.PROCESSED
    changed = [event for event in pages.events if event.deed is Deed.STUDY_CHANGED]
    assert [(event.words, event.is_success) for event in changed] == [("resend", False)]


def test_send_again_is_offered_where_somebody_receives_results(pages: Pages) -> None:
    """And of a study that has a result."""
    browser, path = pages.logged_in("ann"), f"/studies/{STUDY_UID}"
    assert f"{path}/resend" in browser.get(path).text
    assert post(browser, f"{path}/resend") == 303


def test_a_form_of_another_site_changes_nothing(guarded: Pages) -> None:
    """Without the token of the page, with a wrong one, or as the browser says itself."""
    ann = guarded.logged_in("ann")
    token = form_token(ann)
    path, form = "/studies/1.2.3/complete", {"form_token": token}
    assert ann.post(path).status_code in {403, 411}
    assert ann.post(path, data={"form_token": "0" * 64}).status_code == 403
    assert ann.post(path, data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert state_of(guarded.index) is State.RECEIVING
    assert ann.post(path, data=form).status_code == 303


def test_an_index_that_does_not_answer_is_said_so(pages: Pages) -> None:
    """What to do is in the words, no statement and no value."""
    with mock.patch.object(type(pages.site.lists), "page", side_effect=IndexBusyError("locked")):
        answer = pages.browser().get("/studies")
    assert answer.status_code == 503
    assert answer.text.startswith("The node cannot answer now. ") and "Traceback" not in answer.text


def test_a_name_that_is_not_ours_is_refused(pages: Pages) -> None:
    """A page elsewhere whose name is resolved to this machine reads nothing (DNS rebinding)."""
    assert pages.browser().get("/studies", headers={"Host": "evil.example"}).status_code == 421
    assert pages.browser().get("/studies", headers={"Host": "127.0.0.1:8085"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.9:8085", ""])
def test_a_load_balancer_is_answered_under_every_name(pages: Pages, host: str) -> None:
    """By address, and without one, as HAProxy asks; the metrics name peers and are refused."""
    answers = [pages.browser().get(path, headers={"Host": host}) for path in ("/health", "/ready", "/metrics")]
    assert [answer.status_code for answer in answers] == [200, 503, 421]
    assert answers[1].json()["problems"]
    assert pages.browser().post("/ready", headers={"Host": host}).status_code == 421


def test_a_large_form_is_refused_before_it_is_read(pages: Pages) -> None:
    """Memory is not the sender's to fill."""
    assert pages.browser().post("/login", data={"name": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize(("length", "status"), [("9" * 5000, 413), ("²".encode("latin-1"), 411), ("-1", 411)])
def test_a_length_that_is_no_number_or_a_long_one_is_refused(pages: Pages, length: str | bytes, status: int) -> None:
    """Nothing of it is converted."""
    name = "content-length" if isinstance(length, str) else b"content-length"
    headers = {name: length}
    assert pages.browser().post("/login", content=b"x", headers=headers).status_code == status


def test_settings_say_of_each_key_whether_the_file_has_it(tmp_path: Path) -> None:
    """Also of one that is written with its default; a key that waits for the next start is told by the old file."""
    file = tmp_path / "node.toml"
    text = f'[node]\ndata_dir = "{tmp_path}"\n[web]\nlogin = false\n[listen]\nport = 11112\n[listen.tls]\nport = 2762\n'
    file.write_text(text)
    with pages_in(tmp_path) as pages:
        pages.site = replace(pages.site, file=SettingsFile(file, load_settings(file)))
        browser = pages.browser()
        before = sources_shown(browser.get("/settings").text)
        file.write_text(text + "[storage]\nfree_floor_bytes = 1000000000\n")
        after = sources_shown(browser.get("/settings").text)
    assert {key: before[key] for key in ("[listen].port", "[listen.tls].port")} == dict.fromkeys(
        ("[listen].port", "[listen.tls].port"), "file"
    )
    assert before["[listen].host"] == before["[storage].free_floor_bytes"] == "default"
    assert after["[storage].free_floor_bytes"] == "file"
    assert after["[storage].database_url"] == "default"


@pytest.mark.parametrize("path", ["/nothing", "/studies/1.2.3/slices/1/lung"])
def test_a_page_that_is_not_there_is_told_in_a_sentence(tmp_path: Path, path: str) -> None:
    """Its title alone says nothing to somebody who does not know HTTP."""
    with pages_in(tmp_path) as pages:
        answer = pages.browser().get(path)
    assert answer.status_code == 404
    assert "There is no such page." in answer.text


def sources_shown(page: str) -> dict[str, str]:
    """Where each value on the page comes from."""
    shown = re.compile(r'<section aria-labelledby="table-[^"]*"><h2 [^>]*>(\[[^<]*\])</h2>(.*?)</section>', re.DOTALL)
    row = re.compile(r"<tr><td[^>]*>([^<]*)</td>.*?<span[^>]*>(file|default)</span></td></tr>")
    return {f"{table}.{key}": source for table, rows in shown.findall(page) for key, source in row.findall(rows)}


def test_pages_say_what_the_listener_takes_up_at_its_next_start(tmp_path: Path) -> None:
    """A port that stands in the file is not the one to type into the PACS as long as the listener keeps the old."""
    with pages_in(tmp_path) as pages:
        pages.index.beat("listen", "")
        before = [pages.browser().get(path).text for path in ("/", "/settings")]
        pages.index.beat("listen", "", needs_restart=("[listen].port",))
        node, settings = (pages.browser().get(path).text for path in ("/", "/settings"))
    assert not [text for text in before if "restart it" in text or "next start of" in text]
    assert "The listener was started before [listen].port changed" in node
    assert settings.count("taken up at the next start of: Listener") == 1


def test_tile_says_that_senders_are_refused_as_soon_as_they_are(tmp_path: Path) -> None:
    """From the floor and the margin of an association on."""
    file = tmp_path / "node.toml"
    file.write_text(
        f'[node]\ndata_dir = "{tmp_path}"\n[web]\nlogin = false\n'
        f"[storage]\nfree_floor_bytes = 1\nassociation_margin_bytes = {2**62}\n"
    )
    with pages_in(tmp_path) as pages:
        pages.site = replace(pages.site, file=SettingsFile(file, load_settings(file)))
        assert "senders are refused" in pages.browser().get("/components").text
