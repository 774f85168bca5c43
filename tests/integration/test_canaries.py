"""Nothing about a patient leaves the node but by DICOM, on its pages for those who are logged in, and in its audit trail."""

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from unittest import mock

import httpx
import pytest
from pydicom.dataset import Dataset
from pynetdicom import _config

from builders.canaries import BIRTH_DATE, MARK, canaries_of, canary
from builders.canary_images import (
    BROKEN,
    HELD,
    SHORT,
    as_study,
    broken_images,
    damaged_files,
    hostile_images,
    images_with_canaries,
    refused_images,
)
from builders.canary_node import Surroundings, TalkativeNode, journal, surroundings
from builders.canary_search import findings_in, holds
from builders.deadline import until
from builders.listener import association
from builders.node import AE_TITLE, run_dicom_node
from builders.ports import free_port
from builders.site import PASSWORD
from builders.small_patient import SmallPatient
from storage.lifecycle import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOOKED_FOR = f"{MARK}LOOKEDFOR"
NAMED_IN_AUDIT = ("PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber")
"""What PS3.15 A.5.3 has of patient and study: identifier and name; Accession Number in the description of the study."""
RULE = '[[rule]]\nname = "nobody"\nrun = false\n[rule.match]\nstudy_description = "nobody"\nseries_description = "nobody"\n'


@dataclass(slots=True, kw_only=True)
class Left:
    """Everything that left the node, by where it was seen, and what was seen after a login."""

    study: str
    sources: dict[str, bytes] = field(default_factory=dict)
    audit: dict[str, bytes] = field(default_factory=dict)
    logged_in: dict[str, str] = field(default_factory=dict)


def send_damaged(node: TalkativeNode, image: Dataset) -> None:
    """Send damaged objects as they are, each in an association of its own: the node may end it."""
    context = (str(image.SOPClassUID), [str(image.file_meta.TransferSyntaxUID)])
    for path in damaged_files(image, node.folder):
        # So pynetdicom sends the bytes of the file and does not look into them.
        as_it_is = mock.patch.object(_config, "STORE_SEND_CHUNKED_DATASET", True)
        with association(node.port, [context], calling_aet="CT1", called_aet=AE_TITLE) as opened, as_it_is:
            assert opened.send_c_store(path).get("Status") != 0


def send(node: TalkativeNode, images: Sequence[Dataset], *, called_aet: str = AE_TITLE) -> list[int]:
    """Send, whatever becomes of it; the statuses."""
    contexts = {(str(image.SOPClassUID), str(image.file_meta.TransferSyntaxUID)) for image in images}
    offered = [(uid, [syntax]) for uid, syntax in sorted(contexts)]
    with association(node.port, offered, calling_aet="CT1", called_aet=called_aet) as opened:
        return [int(opened.send_c_store(image).get("Status", -1)) for image in images] if opened.is_established else []


def send_all(node: TalkativeNode, patient: SmallPatient) -> None:
    """What is analysed, what fails, what is held, what is refused, who is refused."""
    images = images_with_canaries(patient)
    assert set(send(node, images)) == {0}
    assert set(send(node, as_study(SHORT, images[:4]))) == {0}
    assert set(send(node, broken_images(images))) == {0}
    assert send(node, hostile_images())[-1] == 0
    assert 0 not in send(node, refused_images())
    send_damaged(node, images[0])
    assert send(node, images[:1], called_aet="OTHER") == []


def wait_until_ended(node: TalkativeNode, around: Surroundings, study: str) -> None:
    """Until each study has failed in its own way."""

    def wait(uid: str, state: State, *, within_s: float, what: str) -> None:
        node.watch(uid, lambda view: view is not None and view.state is state, within_s=within_s, what=what)

    wait(HELD, State.HELD, within_s=60, what="the study of two patients is held")
    wait(SHORT, State.SKIPPED, within_s=120, what="the study of a few slices is refused")
    wait(BROKEN, State.PIPELINE_FAILED, within_s=120, what="the broken study ended")
    wait(study, State.DELIVERY_FAILED, within_s=240, what="the delivery was refused")
    assert {"STUDY", "MOVE"} <= set(around.archive.asked)


def wait_until_told(around: Surroundings) -> None:
    """Until alerts and audit trail have left the node."""
    until(lambda: len(around.mails) >= 2 and len(around.webhooks) >= 2, within_s=60, what="alerts by both ways")
    until(lambda: around.syslog.messages, within_s=60, what="the audit trail is copied")


def unauthenticated(address: str, study: str) -> Iterator[tuple[str, bytes]]:
    """Every page and every refusal, for somebody without an account; headers included."""
    with httpx.Client(base_url=address, timeout=60) as browser:
        for path in (
            *(
                "/",
                "/studies",
                f"/studies/{study}",
                f"/studies/{HELD}",
                f"/studies/{BROKEN}",
                f"/studies/{SHORT}",
                "/studies/1.2.3",
            ),
            *(f"/studies/{study}/revisions/1/{name}" for name in ("contours.json", "slices/0.jpg", "slices/x.jpg")),
            *(f"/studies/{study}/revisions/{other}/slices/0.jpg" for other in (9, "x")),
            *("/peers", "/rules", f"/rules?study={study}", "/settings", "/components", "/health", "/ready", "/metrics"),
            *(
                "/login",
                "/login?then=//evil",
                "/nothing",
                "/static/nothing",
                "/static/pages.css",
                "/docs",
                "/openapi.json",
            ),
        ):
            yield path, _whole(browser.get(path))
        yield "wrong host", _whole(browser.get("/", headers={"Host": "evil.example"}))
        yield "wrong method", _whole(browser.put("/studies", content=b"x"))
        yield "forged form", _whole(browser.post(f"/studies/{study}/retry", data={"form_token": "0"}))
        yield "large form", _whole(browser.post("/login", data={"name": "x" * 70_000}))
        yield "wrong login", _whole(_log_in(browser, "ann", "wrong"))


def _whole(answer: httpx.Response) -> bytes:
    return f"{answer.status_code} {answer.headers}\n".encode() + answer.content


def _log_in(browser: httpx.Client, name: str, password: str) -> httpx.Response:
    return browser.post("/login", data={"name": name, "password": password, "form_token": _token(browser)})


def _token(browser: httpx.Client) -> str:
    found = re.search(r'name="form_token" value="(\w+)"', browser.get("/login").text)
    assert found is not None
    return found[1]


def logged_in(node: TalkativeNode, address: str, study: str) -> Iterator[tuple[str, str]]:
    """What an administrator sees and does; looking for a patient is not written into a log either."""
    command = [sys.executable, "-m", "dicom_node", "--config", str(node.config_path), "account", "add", "ann"]
    subprocess.run([*command, "--role", "administrator"], input=f"{PASSWORD}\n", text=True, check=True, timeout=60)
    with httpx.Client(base_url=address, timeout=60) as browser:
        assert _log_in(browser, "ann", PASSWORD).status_code == 303
        yield "study", browser.get(f"/studies/{study}").text
        yield "held", browser.get(f"/studies/{HELD}").text
        yield "list", browser.get("/studies").text
        yield "search", browser.get("/studies", params={"text": LOOKED_FOR}).text
        yield "rules", browser.get("/rules", params={"study": study}).text
        form = {"form_token": _token(browser), "reason": f"{MARK}REASON"}
        assert browser.post(f"/studies/{BROKEN}/discard", data=form).status_code == 303
        yield "discarded", browser.get(f"/studies/{BROKEN}").text


def commands(node: TalkativeNode) -> dict[str, bytes]:
    """What the commands say that are not about a patient."""
    said = {}
    config = ("--config", str(node.config_path))
    for arguments in (("status",), ("status", "--json"), ("check", "--json")):
        done = run_dicom_node(*config, *arguments)
        assert done.returncode in {0, 1}, done.stderr
        said[f"command {' '.join(arguments)}"] = (done.stdout + done.stderr).encode()
    return said


def support_bundle(node: TalkativeNode) -> dict[str, bytes]:
    """Every file of a support bundle of the running node, with its logs in it."""
    path = node.folder / "bundle.tar.gz"
    logs = [argument for log in sorted(node.folder.glob("*.log")) for argument in ("--log", str(log))]
    node.command("support-bundle", "--to", str(path), *logs)
    with tarfile.open(path) as archive:
        files = {entry: archive.extractfile(entry) for entry in archive.getnames()}
        return {f"bundle {entry}": file.read() for entry, file in files.items() if file}


def audit_of(node: TalkativeNode, around: Surroundings) -> dict[str, bytes]:
    """The audit trail, and its copy at the syslog server."""
    trail = b"".join(path.read_bytes() for path in (node.data_dir / "audit").glob("*.jsonl"))
    return {"trail": trail, "syslog": b"\n".join(around.syslog.messages)}


def with_journal_and_without_login(node: TalkativeNode, address: str, study: str) -> Iterator[tuple[str, bytes]]:
    """The listener once more, as systemd starts it; the pages once more, without a login."""
    socket_path = node.folder / "journal.socket"
    with journal(socket_path) as entries:
        node.stop("listen")
        node.start_with_journal("listen", socket_path)
        node.stop("web")
        node.config_path.write_text(node.config_path.read_text().replace("login = true", "login = false"))
        node.start("web")
        node.wait_until_it_listens()
        send(node, [*hostile_images(), *refused_images()])
        send(node, refused_images(), called_aet="OTHER")
        until(lambda: _answers(address), within_s=60, what="the pages answer")
        yield from ((f"local page {name}", page) for name, page in unauthenticated(address, study))
        node.stop("listen")
        yield from ((f"journal {number}", entry) for number, entry in enumerate(entries))


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/login").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def left(small_patient: SmallPatient, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Of a node that received, looked for earlier studies, analysed, refused, held, and failed."""
    folder, web_port = tmp_path_factory.mktemp("canaries"), free_port()
    address, made = f"http://127.0.0.1:{web_port}", Left(study=small_patient.current.study_instance_uid)
    with ExitStack() as stack:
        around = stack.enter_context(surroundings(folder, web_port=web_port))
        node = TalkativeNode(
            folder=folder,
            destinations=around.destinations,
            parts=("listen", "work", "web"),
            more_configuration=around.configuration + RULE,
        )
        stack.enter_context(node)
        send_all(node, small_patient)
        wait_until_ended(node, around, made.study)
        made.logged_in |= logged_in(node, address, made.study)
        made.sources |= {f"page {name}": page for name, page in unauthenticated(address, made.study)}
        made.sources |= commands(node) | support_bundle(node)
        made.sources |= with_journal_and_without_login(node, address, made.study)
        wait_until_told(around)
        made.audit |= audit_of(node, around)
        made.sources |= {f"mail {number}": mail for number, mail in enumerate(around.mails)}
        made.sources |= {f"webhook {number}": body for number, body in enumerate(around.webhooks)}
        names = [str(path.relative_to(node.data_dir)) for path in node.data_dir.rglob("*")]
        made.sources |= node.log_files() | {"names of files": "\n".join(names).encode()}
    return made


def test_every_way_out_was_looked_at(left: Left) -> None:
    """A search through nothing finds nothing."""
    kinds = {name.split()[0] for name in left.sources}
    assert kinds == {"page", "local", "mail", "webhook", "bundle", "log", "journal", "command", "names"}
    assert all(data for name, data in left.sources.items() if not name.startswith("log "))
    for name in ("listen", "work", "web"):
        assert b" DEBUG " in left.sources[f"log {name}.log"] or b" INFO " in left.sources[f"log {name}.log"]
    assert b" DEBUG " in b"".join(data for name, data in left.sources.items() if name.startswith("log "))
    assert b"dicom_node_" in left.sources["page /metrics"]
    assert any(b"objects stored" in data for name, data in left.sources.items() if name.startswith("bundle"))
    assert any(b"DICOM_CALLING_AET=CT1" in data for name, data in left.sources.items() if name.startswith("journal"))
    assert left.study.encode() in left.sources[f"local page /studies/{left.study}"]


def test_no_canary_left_the_node(left: Left) -> None:
    """Neither as text nor in another encoding, neither whole nor cut."""
    found = findings_in(left.sources)
    assert not found, "\n".join(found)


def test_the_same_patients_are_shown_to_who_is_logged_in(left: Left) -> None:
    """The canaries were there to be found, and the search finds them."""
    for word in canaries_of("PatientName", "PatientID", "StudyDescription"):
        assert word in left.logged_in["study"]
    pages = {name: text.encode() for name, text in left.logged_in.items()}
    assert {finding.split(":")[0] for finding in findings_in(pages)} >= {"study", "held", "list", "rules", "search"}
    assert LOOKED_FOR in left.logged_in["search"]


def test_the_audit_trail_names_the_patient_and_says_nothing_else_about_them(left: Left) -> None:
    """PS3.15 A.5.2: ID and name; both are in the file and in its copy, in base64 too where a query is quoted."""
    for data in left.audit.values():
        assert all(holds(data, word) for word in canaries_of("PatientID", "PatientName"))
    allowed = {*NAMED_IN_AUDIT, LOOKED_FOR, f"{MARK}-OTHER"}
    found = {finding.split(": ")[1] for finding in findings_in(left.audit) if " as " not in finding.split(": ")[1]}
    assert found <= allowed, found - allowed


def test_the_search_finds_a_canary_however_it_is_written() -> None:
    """Else none of the above could fail."""
    word = canary(12)
    forms = [word.encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be", "utf-32-le")]
    forms += [word.lower().encode(), word[:6].encode(), word.encode().hex().encode(), b"born 1913-07-13"]
    forms += [
        f"12.5 s, {BIRTH_DATE}".encode(),
        b"61.7317 kg",
        b"M\xfcller",
        "Müller".encode(),
        b"M%C3%BCller",
        b"M\\u00fcller",
    ]
    for form in forms:
        assert findings_in({"log": b"\x00\x01 " + form + b"."}), form
    assert not findings_in({"log": b"a quiet line, 161.73170 bytes, ZQ"})
