"""The first hour of an administrator: from the login to a study whose results are in Orthanc, all in a browser."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")

from playwright.sync_api import Page, expect

from builders.browser import Watched, keep_photograph, keep_picture, log_in_by_keyboard, watched_browser
from builders.deadline import until
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import Orthanc, running_orthanc
from builders.ports import free_port
from builders.site import PASSWORD
from builders.small_patient import SmallPatient, SmallStudy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DONE_WITHIN_S = 600
_SOON_MS = 60_000


class Site:
    """A node with nothing but its own names, beside a PACS that it does not know."""

    def __init__(self, folder: Path) -> None:
        """Write the configuration."""
        self.folder, self.port, self.web_port = folder, free_port(), free_port()
        self.config = folder / "node.toml"
        self.config.write_text(
            f'[node]\nae_title = "DICOMNODE"\ndata_dir = "{folder / "data"}"\n\n'
            f'[listen]\nhost = "127.0.0.1"\nport = {self.port}\n\n'
            f"[web]\nenabled = true\nlogin = true\nport = {self.web_port}\n\n"
            "[alerts]\ndestination_down_minutes = 0.01\n\n"
            '[outbox]\nfirst_retry_s = 0.5\nmaximum_retry_s = 2.0\n\n[pipeline]\ndevice = "cpu"\n'
        )
        (folder / "data").mkdir()

    def start(self) -> subprocess.Popen[bytes]:
        """`dicom-node run`, once the pages answer and an administrator has an account."""
        with (self.folder / "run.log").open("wb") as log:
            command = [sys.executable, "-m", "dicom_node", "--config", str(self.config), "run"]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, within_s=180, what=f"the pages answer; see {self.folder / 'run.log'}")
        added = self._command("account", "add", "ann", "--role", "administrator", typed=f"{PASSWORD}\n")
        assert added.returncode == 0, added.stderr
        return process

    def _answers(self) -> bool:
        try:
            return bool(urlopen(f"http://127.0.0.1:{self.web_port}/login", timeout=5).status == 200)
        except OSError:
            return False

    def _command(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dicom_node", "--config", str(self.config), *arguments]
        return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running node that knows nobody."""
    made = Site(tmp_path)
    process = made.start()
    yield made
    process.terminate()
    assert process.wait(timeout=90) == 0


def test_an_administrator_gets_from_the_login_to_results_in_the_pacs(
    site: Site, small_patient: SmallPatient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Log in, add the PACS, echo it, let a refused caller in, see its study done, run it again, see an alert."""
    study = small_patient.earlier
    with ExitStack() as pacs, watched_browser(f"http://127.0.0.1:{site.web_port}") as watched:
        orthanc = pacs.enter_context(running_orthanc(tmp_path_factory.mktemp("orthanc")))
        page = watched.page()
        log_in_by_keyboard(page, "ann")
        _shown(watched, page, "1-node")
        _add_and_echo(watched, page, orthanc)
        _let_the_scanner_in(watched, page, site)
        _send(site, study)
        _see_it_done(watched, page, study)
        assert {"SR", "SEG"} <= orthanc.modalities(study.study_instance_uid)
        _scroll(watched, page)
        _run_again(page, study, times=2)
        pacs.close()
        _see_an_alert(watched, page, study)
        watched.assert_quiet()


def _add_and_echo(watched: Watched, page: Page, orthanc: Orthanc) -> None:
    page.goto("/peers")
    page.get_by_text("A modality, a router or a PACS").click()
    form = page.locator("form[action='/peers/add']")
    for name, value in (("new_name", "orthanc"), ("ae_title", ORTHANC_AE_TITLE), ("host", "127.0.0.1")):
        form.locator(f"[name={name}]").fill(value)
    form.locator("[name=port]").fill(str(orthanc.dicom_port))
    form.get_by_label("receives results").check()
    keep_picture(page, "first-hour-2-add-wide-light")
    form.locator("[name=port]").fill("l04")
    form.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("must be a whole number")
    form.locator("[name=port]").fill(str(orthanc.dicom_port))
    form.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="C-ECHO").click()
    expect(page.get_by_text("orthanc: C-ECHO succeeded")).to_be_visible(timeout=_SOON_MS)
    _shown(watched, page, "3-echo")


def _let_the_scanner_in(watched: Watched, page: Page, site: Site) -> None:
    assert _echoscu(site) != 0

    def is_listed() -> bool:
        page.goto("/peers")
        return page.get_by_role("button", name="Allow SCANNER").count() == 1

    until(is_listed, within_s=60, what="the refused caller is on the page")
    page.get_by_role("heading", name="Refused callers").scroll_into_view_if_needed()
    _shown(watched, page, "4-refused", at="#refused")
    with page.expect_navigation():
        page.get_by_role("button", name="Allow SCANNER").click()
    until(lambda: _echoscu(site) == 0, within_s=60, what="the caller is let in")


def _see_it_done(watched: Watched, page: Page, study: SmallStudy) -> None:
    def is_received() -> bool:
        page.goto("/studies")
        return page.locator(f"a[href='/studies/{study.study_instance_uid}']").count() > 0

    until(is_received, within_s=60, what="the study is on the page")
    _shown(watched, page, "5-received")
    _wait_until_done(page, study, times=1)
    page.goto("/studies")
    _shown(watched, page, "6-delivered")
    page.goto(f"/studies/{study.study_instance_uid}")


def _wait_until_done(page: Page, study: SmallStudy, *, times: int) -> None:
    """Until the page shows that its results were delivered so many times."""

    def is_done() -> bool:
        page.goto(f"/studies/{study.study_instance_uid}")
        title = page.locator("h1 .badge").text_content()
        assert "failed" not in str(title), page.locator(".lead").text_content()
        return page.locator(".history .badge", has_text="delivered").count() >= times and title == "delivered"

    until(is_done, within_s=DONE_WITHIN_S, what="the study is delivered")


def _scroll(watched: Watched, page: Page) -> None:
    page.wait_for_selector("#outlines polyline", state="attached")
    before, shown = page.text_content("#where"), page.get_attribute("#slice", "src")
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    assert page.text_content("#where") != before and page.get_attribute("#slice", "src") != shown
    page.keyboard.press("ArrowUp")
    page.wait_for_function("document.getElementById('slice').complete")
    _shown(watched, page, "7-study", at="#stage")


def _run_again(page: Page, study: SmallStudy, *, times: int) -> None:
    page.get_by_role("button", name="Run again").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    _wait_until_done(page, study, times=times)


def _see_an_alert(watched: Watched, page: Page, study: SmallStudy) -> None:
    """The PACS is down and results wait for it: the node says so by itself."""
    page.goto(f"/studies/{study.study_instance_uid}")
    with page.expect_navigation():
        page.get_by_role("button", name="Send again").click()

    def is_told() -> bool:
        page.goto("/components")
        return page.get_by_text("orthanc cannot be reached").count() > 0

    until(is_told, within_s=180, what="the alert is on the page")
    _shown(watched, page, "8-alert")


def _shown(watched: Watched, page: Page, name: str, *, at: str = "") -> None:
    """Nothing is cut off, wide and narrow; both looks are kept as pictures."""
    path = page.url.removeprefix(watched.address)
    keep = keep_photograph if at == "#stage" else keep_picture
    keep(page, f"first-hour-{name}-wide-light")
    narrow = watched.page("narrow-dark")
    narrow.context.add_cookies(page.context.cookies())
    narrow.goto("/peers" if path.startswith("/peers") else path)
    if at:
        narrow.locator(at).evaluate("element => element.scrollIntoView({block: 'start'})")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390, name
    keep(narrow, f"first-hour-{name}-narrow-dark")
    narrow.context.close()


def _send(site: Site, study: SmallStudy) -> None:
    done = _dcmtk("storescu", "+sd", "+r", site=site, more=[str(study.folder)])
    assert done.returncode == 0, done.stdout + done.stderr


def _echoscu(site: Site) -> int:
    return _dcmtk("echoscu", site=site).returncode


def _dcmtk(program: str, *options: str, site: Site, more: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} not installed: apt install dcmtk")
    command = [path, "-aet", "SCANNER", "-aec", "DICOMNODE", *options, "127.0.0.1", str(site.port), *(more or [])]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
