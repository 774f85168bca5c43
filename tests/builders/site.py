"""The pages of a node over an index of its own, with a study that has a result."""

import atexit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from unittest import mock

from argon2 import PasswordHasher
from starlette.testclient import TestClient

from builders.analysis import SERIES_UID, STUDY_UID, StudyPlan, build_analysis, build_context
from builders.clock import FakeClock
from builders.index import build_index, claim, database_url, make_ready, received, to
from config.settings import Settings
from dicom_node.results.write import write_result_set
from dicom_node.settings_file import SettingsFile
from dicom_node.web.app import build_app, build_site
from dicom_node.web.audit_hook import WebEvent
from dicom_node.web.site import Site
from pipeline.findings import Analysis
from storage.account_records import AccountRole
from storage.database import open_engine
from storage.index import Index
from storage.records import PatientKey, ResultFile

PASSWORD = "a sentence as a password"
_QUICK_HASHER = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
"""What makes hashes safe makes each a tenth of a second long."""
CANARY = PatientKey(patient_id="ZQCANARYID", issuer="ZQCANARYISSUER")


@dataclass(slots=True, kw_only=True)
class Pages:
    """The pages, an account of each role, and everything that was told to the audit trail."""

    folder: Path
    clock: FakeClock
    index: Index
    site: Site
    events: list[WebEvent] = field(default_factory=list)

    def browser(self) -> TestClient:
        """A browser without cookies at the machine of the node."""
        return TestClient(build_app(self.site), base_url="http://localhost", follow_redirects=False)

    def logged_in(self, name: str) -> TestClient:
        """A browser that is logged in."""
        browser = self.browser()
        answer = log_in(browser, name, PASSWORD)
        assert answer.status_code == 303, answer.text
        return browser


@contextmanager
def pages_in(folder: Path, *, login: bool = False, **web: str) -> Iterator[Pages]:
    """Pages over an empty index, with the accounts `ann` (administrator) and `vera` (viewer); `web` is more of [web]."""
    clock = FakeClock()
    index = build_index(folder, clock)
    settings = Settings.model_validate(
        {
            "node": {"data_dir": str(folder)},
            "web": {"login": login, **web},
            "peers": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 1, "receives_results": True}],
        }
    )
    events: list[WebEvent] = []
    engine = open_engine(database_url(folder))
    with mock.patch("dicom_node.web.login_rules.PasswordHasher", _QUICK_HASHER):
        site = build_site(SettingsFile(None, settings), engine, clock=clock, record=events.append)
    for name, role in (("ann", AccountRole.ADMINISTRATOR), ("vera", AccountRole.VIEWER)):
        site.accounts.add(name, role, password_hash=site.gate.hash(PASSWORD))
    yield Pages(folder=folder, clock=clock, index=index, site=site, events=events)
    engine.dispose()
    index.close()


def _as_built(analysis: Analysis) -> Analysis:
    return analysis


def add_finished_study(
    pages: Pages, plan: StudyPlan | None = None, *, changed: Callable[[Analysis], Analysis] = _as_built
) -> str:
    """A study with images, findings, masks and deliveries, whose text is full of canaries; its UID.

    Args:
        pages: Where it is received.
        plan: What the built study is like.
        changed: Makes of its analysis what the worker hands over.
    """
    if changed is _as_built:
        kept = _kept_result_set(plan or StudyPlan())
        copytree(kept.folder, pages.folder, dirs_exist_ok=True)
        files = [replace(file, path=pages.folder / file.path.relative_to(kept.folder)) for file in kept.files]
        _finish(pages, kept.analysis, files)
    else:
        write_result_set_of(pages, changed(build_analysis(pages.folder / "ct", plan)))
    return STUDY_UID


def write_result_set_of(pages: Pages, analysis: Analysis) -> None:
    """Receive the built series, and let a worker finish it."""
    _finish(pages, analysis, write_result_set(analysis, build_context(), folder=pages.folder / "results"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptResultSet:
    folder: Path
    analysis: Analysis
    files: Sequence[ResultFile]


@cache
def _kept_result_set(plan: StudyPlan) -> _KeptResultSet:
    """Images and results of a study, written once: pictures and reports take a second."""
    folder = Path(mkdtemp(prefix="finished-study-"))
    atexit.register(rmtree, folder)
    analysis = build_analysis(folder / "ct", plan)
    files = write_result_set(analysis, build_context(), folder=folder / "results")
    return _KeptResultSet(folder=folder, analysis=analysis, files=tuple(files))


def _finish(pages: Pages, analysis: Analysis, files: Sequence[ResultFile]) -> None:
    pages.index.record_received(
        [
            received(
                STUDY_UID,
                number,
                sop_instance_uid=header.sop_instance_uid,
                series_instance_uid=SERIES_UID,
                relative_path=f"ct/{header.path.name}",
                patient=CANARY,
                patient_name="ZQCANARYFAMILY^ZQCANARYGIVEN",
                accession_number="ZQCANARYACC",
                study_description="ZQCANARYSTUDY",
                series_description="ZQCANARYSERIES",
                body_part="ZQCANARYBODY",
            )
            for number, header in enumerate(analysis.volume.slice_headers, start=1)
        ]
    )
    make_ready(pages.index, STUDY_UID)
    pages.index.finish_succeeded(claim(pages.index), files, destinations=to("pacs"), why="3 lesions")


def form_token(browser: TestClient) -> str:
    """What the forms of a page carry."""
    text = browser.get("/login").text
    return text.split('name="form_token" value="')[1].split('"')[0]


def log_in(browser: TestClient, name: str, password: str):  # type: ignore[no-untyped-def]  # of httpx
    """The answer to a login."""
    form = {"name": name, "password": password, "form_token": form_token(browser)}
    return browser.post("/login", data=form)
