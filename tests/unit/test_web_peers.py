"""The page of AE titles: peers are edited in the file of the node, refused callers are let in."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from builders.index import NOON
from builders.site import Pages, form_token, pages_in
from dicom_node.cli.configuring import values_from
from dicom_node.configuring import editing
from dicom_node.configuring.errors import NotWritableError
from dicom_node.settings_file import SettingsFile
from dicom_node.web.audit_hook import Deed
from dicom_node.web.peer_forms import command_for
from storage.refused_callers import RefusalKey, RefusedCaller

PEER = '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "10.0.0.5"  # archive room\nport = 104\nreceives_results = true\n'
NEW = {"new_name": "ct", "ae_title": "CT", "host": "10.0.0.7", "port": "104", "switch": "may_send"}


@contextmanager
def pages_with_file(folder: Path, *, login: bool = False) -> Iterator[Pages]:
    """Pages over a configuration file with one peer."""
    with pages_in(folder, login=login) as pages:
        path = folder / "node.toml"
        path.write_text(f'# ours\n[node]\ndata_dir = "{folder}"\n[web]\nlogin = {str(login).lower()}\n{PEER}')
        pages.site = replace(pages.site, file=SettingsFile.opened(path, "web"))
        yield pages


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """Pages that ask for no login."""
    with pages_with_file(tmp_path) as made:
        yield made


def file_of(pages: Pages) -> str:
    """The text of the file."""
    return (pages.folder / "node.toml").read_text()


def peers_of(pages: Pages) -> list[dict[str, object]]:
    """The blocks of the file."""
    return tomllib.loads(file_of(pages)).get("peers", [])


def send(browser: TestClient, path: str, **values: str):  # type: ignore[no-untyped-def]  # of httpx
    """The answer to a form of the page."""
    found = re.search(r'name="sha256" value="([0-9a-f]{64})"', browser.get("/peers").text)
    sha256 = found[1] if found else ""
    return browser.post(path, data={"sha256": sha256, "form_token": form_token(browser), **values})


def refuse(pages: Pages, title: str, reason: str = "calling_ae_title") -> None:
    """A caller was refused."""
    key = RefusalKey(calling_aet=title, called_aet="NODE", address="10.0.0.9", reason=reason)
    pages.index.refused_callers.add([RefusedCaller(key=key, first_at=NOON, last_at=NOON, count=4)])


def test_a_peer_is_added_changed_removed_and_each_is_undone(pages: Pages) -> None:
    """In the file, with its comments; the page shows it at once; the audit trail has each step."""
    browser = pages.browser()
    before = file_of(pages)
    answer = send(browser, "/peers/add", **NEW, more='results = ["sr"]')
    assert answer.status_code == 200, answer.text
    assert 'id="peer-2">ct<' in answer.text
    assert peers_of(pages)[1]["results"] == ["sr"]
    form = {"ae_title": "PACS", "host": "10.0.0.6", "port": "104", "switch": "receives_results"}
    assert send(browser, "/peers/pacs/change", **form, more="query_port = 105").status_code == 200
    assert peers_of(pages)[0] == {
        **{"name": "pacs", "ae_title": "PACS", "host": "10.0.0.6", "port": 104, "receives_results": True},
        **{"may_send": False, "query_port": 105},
    }
    assert "# archive room" in file_of(pages)
    assert send(browser, "/peers/ct/remove").status_code == 200
    assert [peer["name"] for peer in peers_of(pages)] == ["pacs"]
    text = browser.get("/peers").text
    version = re.search(r'name="version" value="(\d+)"', text)
    assert version and "Undo: peer ct removed" in text
    assert send(browser, "/peers/undo", version=version[1]).status_code == 200
    assert [peer["name"] for peer in peers_of(pages)] == ["pacs", "ct"]
    assert send(browser, "/peers/undo", version="1").status_code == 200
    assert file_of(pages) == before
    words = [event.words for event in pages.events if event.deed is Deed.PEER_CHANGED and event.is_success]
    assert words[:3] == ["peer ct added", "peer pacs changed: host, may_send, query_port", "peer ct removed"]


def test_a_key_that_is_deleted_from_the_form_is_taken_out_of_the_file(pages: Pages) -> None:
    """What is sent as it was changes nothing."""
    browser = pages.browser()
    form = {"ae_title": "PACS", "host": "10.0.0.5", "port": "104", "switch": ["may_send", "receives_results"]}
    send(browser, "/peers/pacs/change", **form, more="query_port = 105")
    assert "query_port = 105" in browser.get("/peers").text
    before = file_of(pages)
    assert "Nothing changed" in send(browser, "/peers/pacs/change", **form, more="query_port = 105").text
    assert file_of(pages) == before
    send(browser, "/peers/pacs/change", **form)
    assert "query_port" not in file_of(pages)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"port": "x"}, "[peers #2].port: must be a whole number (got &#34;x&#34;)"),
        ({"ae_title": "PACS"}, "[peers #2].ae_title: is also that of peer #1"),
        ({"more": "hots = 1"}, "[peers #2].hots: is not a setting; did you mean host?"),
        ({"port": "9" * 5000}, "[peers #2].port: must be a whole number (got &#34;999"),
        ({"more": "results = ["}, "further keys: is not written as in node.toml"),
        ({"more": "query_port = 0x" + "f" * 3900}, "a line: it holds a number that is too long"),
        ({"new_name": "<script>"}, "[peers #2].name: must be letters"),
    ],
)
def test_mistakes_stand_beside_the_form_with_what_was_typed(pages: Pages, values: dict[str, str], problem: str) -> None:
    """By the same rules and in the same words as on the command line; nothing is written."""
    before = file_of(pages)
    answer = send(pages.browser(), "/peers/add", **{**NEW, **values})
    assert (answer.status_code, 'role="alert"' in answer.text) == (200, True)
    assert problem in answer.text
    assert 'value="10.0.0.7"' in answer.text
    assert "<script>" not in answer.text.split("<main")[1]
    assert file_of(pages) == before
    assert [event.is_success for event in pages.events if event.deed is Deed.PEER_CHANGED] == [False]


def test_a_refused_caller_is_let_in_by_one_click(pages: Pages) -> None:
    """Who was refused for another reason is told what helps, without a button; hostile titles are text."""
    refuse(pages, "CT_7")
    refuse(pages, "<b>x</b>", "called_ae_title")
    browser = pages.browser()
    text = browser.get("/peers").text
    assert "&lt;b&gt;x&lt;/b&gt;" in text and "<b>x" not in text
    assert text.count(">Allow</button>") == 1
    assert send(browser, "/peers/allow", calling_aet="CT_7", address="10.0.0.9").status_code == 200
    assert peers_of(pages)[1]["host"] == "10.0.0.9"
    assert ">Allow</button>" not in browser.get("/peers").text


def test_who_edits_what_somebody_else_changed_is_told_so(pages: Pages) -> None:
    """The other change stays."""
    browser = pages.browser()
    answer = send(browser, "/peers/pacs/remove", sha256="0" * 64)
    assert "Somebody else changed the configuration" in answer.text
    assert len(peers_of(pages)) == 1


def test_pages_that_may_not_write_show_the_command(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is typed on the machine, quoted for the shell."""
    monkeypatch.setattr(editing, "locked", _refuse)
    refuse(pages, "CT 7")
    browser = pages.browser()
    file = pages.folder / "node.toml"
    said = send(browser, "/peers/add", **NEW, more='results = ["sr"]')
    assert (said.status_code, 'role="alert"' in said.text) == (200, True)
    wanted = f"sudo dicom-node --config {file} ae add ct CT 10.0.0.7:104 may_send=true &#39;results=[&#34;sr&#34;]&#39;"
    assert wanted in said.text
    said = send(browser, "/peers/allow", calling_aet="CT 7", address="10.0.0.9")
    assert f"sudo dicom-node --config {file} ae allow &#39;CT 7&#39; --from 10.0.0.9" in said.text
    assert "ae remove pacs" in send(browser, "/peers/pacs/remove").text
    assert "may not write" not in browser.get("/peers").text
    monkeypatch.setattr("dicom_node.configuring.file.os.access", lambda *_, **__: False)
    assert "may not write" in browser.get("/peers").text


@pytest.mark.parametrize(
    "value",
    [
        {"quiet_period_s": 30.0},
        [{"action": "only", "thickest_mm": 2.0}, {"action": "prefer", "words": ["a, b", 'c"d']}],
        {"a": {"b": [1, 2], "c": {}}},
        ["sr", "seg"],
        "1234",
        "true",
        "[1]",
        '"quoted"',
        "1 # one",
        "1\nport = 2",
        "CT 7",
        "",
        " ",
        "a=b",
        "back\\slash",
        True,
        104,
        2.5,
        None,
    ],
)
def test_shown_command_gives_each_value_back(value: object) -> None:
    """Tables, and texts that look like something else."""
    words = shlex.split(command_for(Path("/etc/node.toml"), "change", "pacs", values={"key": value}))
    assert values_from(words[-1:]) == {"key": value}


def _refuse(path: Path) -> None:
    reason = f"{path} cannot be written"
    raise NotWritableError(reason)


def test_only_an_administrator_with_a_form_of_ours_may_edit(tmp_path: Path) -> None:
    """A viewer sees the peers and no form."""
    with pages_with_file(tmp_path, login=True) as pages:
        refuse(pages, "CT_7")
        before = file_of(pages)
        viewer, administrator = pages.logged_in("vera"), pages.logged_in("ann")
        text = viewer.get("/peers").text
        assert "CT_7" in text and "/peers/add" not in text and ">Allow<" not in text and "sha256" not in text
        for path in ("/peers/add", "/peers/pacs/change", "/peers/pacs/remove"):
            assert send(viewer, path, **NEW).status_code == 403
            assert send(administrator, path, **NEW, form_token="0" * 64).status_code == 403
        assert send(viewer, "/peers/allow", calling_aet="CT_7", address="10.0.0.9").status_code == 403
        assert send(viewer, "/peers/undo", version="1", sha256="0" * 64).status_code == 403
        assert file_of(pages) == before
        assert send(administrator, "/peers/allow", calling_aet="CT_7", address="10.0.0.9").status_code == 200
        (event,) = [event for event in pages.events if event.deed is Deed.PEER_CHANGED and event.is_success]
        assert (event.by, event.words) == ("ann", "peer ct_7 added")


def test_without_a_file_the_page_says_what_to_do(tmp_path: Path) -> None:
    """`init` writes one."""
    with pages_in(tmp_path) as pages:
        assert "dicom-node init" in pages.browser().get("/peers").text


def test_what_waits_for_a_restart_is_named(pages: Pages) -> None:
    """Beside the process that it concerns."""
    pages.index.beat("listen", "127.0.0.1:11112", needs_restart=["[listen].port"])
    for path in ("/", "/components"):
        text = pages.browser().get(path).text
        assert "needs a restart" in text and "[listen].port" in text
