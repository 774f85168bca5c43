"""The pages as part of a running node: with and without TLS, up and down with it; trying a peer out from them."""

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from builders.certificates import Authority
from builders.deadline import until
from builders.ports import free_port
from builders.storescp import EXPLICIT, running_storescp

_COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
_COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_CT = "1.2.840.10008.5.1.4.1.1.2"


@contextmanager
def _running(folder: Path, part: str, *tables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A part of a node with these tables besides its own; ended as systemd does."""
    config = folder / "node.toml"
    config.write_text("\n".join([f'[node]\ndata_dir = "{folder / "data"}"', *tables]))
    (folder / "data").mkdir()
    with (folder / "node.log").open("wb") as log:
        command = [sys.executable, "-m", "dicom_node", "--config", str(config), part]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(timeout=90) == 0, (folder / "node.log").read_text()


def _until_there(address: str, folder: Path) -> None:
    until(lambda: _answers(address), within_s=180, what=f"the pages answer; see {folder / 'node.log'}")


def _answers(address: str) -> bool:
    try:
        return bool(urlopen(f"{address}/", timeout=5).status == 200)
    except OSError:
        return False


def test_run_brings_the_pages_up_where_the_configuration_says_so_and_takes_them_down(tmp_path: Path) -> None:
    """As one process more, which shows itself on its own page."""
    web, dicom = free_port(), free_port()
    address = f"http://127.0.0.1:{web}"
    with _running(tmp_path, "run", f"[listen]\nport = {dicom}", f"[web]\nenabled = true\nport = {web}"):
        _until_there(address, tmp_path)
        until(lambda: _shows_itself(address), within_s=60, what="the pages are among the parts that run")
    assert not _answers(address)


def _shows_itself(address: str) -> bool:
    text = urlopen(f"{address}/components", timeout=10).read().decode()
    return re.search(r'tile good"><h3>Pages</h3><p class="badge good">running', text) is not None


def test_run_serves_no_pages_unless_the_configuration_says_so(tmp_path: Path) -> None:
    """The port stays free while the listener takes associations."""
    web, dicom = free_port(), free_port()
    with _running(tmp_path, "run", f"[listen]\nport = {dicom}", f"[web]\nport = {web}"):
        log = tmp_path / "node.log"
        until(lambda: "listening" in log.read_text(), within_s=120, what="the node listens")
        assert not _answers(f"http://127.0.0.1:{web}")


def test_the_pages_are_served_by_tls_of_today_alone(tmp_path: Path) -> None:
    """To who believes the certificate; cookies stay with TLS; neither TLS 1.1 nor plain HTTP is answered."""
    issued = Authority(tmp_path / "ca").issue("pages")
    port = free_port()
    table = f'[web]\nport = {port}\nlogin = true\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"'
    believed = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.pem")
    with _running(tmp_path, "web", table):
        until(lambda: _tls_answer(port, believed) == 200, within_s=120, what="the pages answer by TLS")
        connection = HTTPSConnection("127.0.0.1", port, timeout=10, context=believed)
        connection.request("GET", "/login")
        answer = connection.getresponse()
        cookies = answer.headers.get_all("set-cookie", [])
        assert cookies and all("secure" in cookie.lower() for cookie in cookies)
        assert "max-age" in answer.headers["strict-transport-security"]
        connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            _tls_answer(port, ssl.create_default_context())
        with pytest.raises((OSError, HTTPException)):
            urlopen(f"http://127.0.0.1:{port}/login", timeout=10)
        assert _old_tls(port) is None


def test_the_pages_show_a_renewed_certificate_without_a_restart(tmp_path: Path) -> None:
    """As the TLS port does; whoever renews it replaces the files."""
    authority = Authority(tmp_path / "ca")
    issued, renewed = authority.issue("pages"), authority.issue("renewed")
    port = free_port()
    table = f'[web]\nport = {port}\nlogin = true\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"'
    with _running(tmp_path, "web", table):
        until(lambda: _fingerprint_shown(port) == issued.fingerprint, within_s=120, what="the pages show the first one")
        issued.certificate.write_bytes(renewed.certificate.read_bytes())
        issued.key.write_bytes(renewed.key.read_bytes())
        until(lambda: _fingerprint_shown(port) == renewed.fingerprint, within_s=120, what="the pages show the new one")


def _fingerprint_shown(port: int) -> str:
    try:
        shown = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    except OSError:
        return ""
    return sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest()


def _tls_answer(port: int, context: ssl.SSLContext) -> int:
    connection = HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", "/login")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


def _old_tls(port: int) -> str | None:
    """What an offer of TLS 1.1 and nothing newer comes to, by OpenSSL's own client."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=False)
    agreed = re.search(r"Cipher is (?!\(NONE\))(\S+)", done.stdout)
    return agreed[1] if agreed else None


@pytest.mark.slow
def test_the_button_sends_a_test_report_and_segmentation_to_a_pacs(tmp_path: Path) -> None:
    """storescp has them afterwards, labelled as a test; the page says what was taken."""
    classes = (_CT, _SEGMENTATION, _COMPREHENSIVE_SR, _COMPREHENSIVE_3D_SR)
    port = free_port()
    with running_storescp(tmp_path, accepts=dict.fromkeys(classes, (EXPLICIT,))) as pacs:
        peer = (
            f'[[peers]]\nname = "pacs"\nae_title = "{pacs.peer.ae_title}"\nhost = "127.0.0.1"\n'
            f"port = {pacs.peer.port}\nreceives_results = true"
        )
        address = f"http://127.0.0.1:{port}"
        with _running(tmp_path, "web", f"[web]\nport = {port}", peer):
            _until_there(address, tmp_path)
            text = _press(address, "/peers/pacs/test")
        assert "pacs: Test set sent" in text, text
        sent = pacs.objects().values()
        assert {"SR", "SEG"} <= {dataset.Modality for dataset in sent}
        assert all("TEST" in str(dataset.PatientName).upper() for dataset in sent)


def _press(address: str, path: str) -> str:
    """The page that follows a button, with cookie and token as a browser sends them."""
    page = urlopen(f"{address}/peers", timeout=30)
    cookie = page.headers.get("set-cookie", "").split(";")[0]
    token = re.search(r'name="form_token" value="([^"]+)"', page.read().decode())
    assert token is not None
    body = urlencode({"form_token": token[1]}).encode()
    headers = {"Cookie": cookie, "Origin": address}
    request = Request(f"{address}{path}", data=body, headers=headers, method="POST")
    return str(urlopen(request, timeout=360).read().decode())
