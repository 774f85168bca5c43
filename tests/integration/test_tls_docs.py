"""docs/tls.md, followed to the letter."""

import shutil
import subprocess
from pathlib import Path

import pytest

from builders.instances import ct_instance
from builders.listener import AE_TITLE, SENDER, listener_settings
from builders.ports import free_port
from builders.tls_listener import tls_listener
from config.tls import ListenTlsSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tls.md"


def test_the_test_authority_of_the_page_works_with_dcmtk(tmp_path: Path) -> None:
    """Its commands make certificates that listener and modality take; the fingerprint it prints binds the title."""
    storescu = shutil.which("storescu")
    if storescu is None or shutil.which("openssl") is None:
        pytest.skip("DCMTK or openssl not installed: apt install dcmtk openssl")
    commands = PAGE.read_text().split("```bash\n")[1].split("```")[0]
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    fingerprint = done.stdout.strip().splitlines()[-1]
    port = free_port()
    tls = ListenTlsSettings(
        enabled=True,
        port=port,
        certificate=tmp_path / "node.pem",
        key=tmp_path / "node.key",
        client_ca=tmp_path / "ca.pem",
    )
    settings = listener_settings(tmp_path / "data", plain=False, tls=tls)
    (peer,) = settings.peers
    bound = peer.model_validate({**peer.model_dump(exclude_unset=True), "caller_fingerprints": fingerprint})
    image = tmp_path / "image.dcm"
    ct_instance().save_as(image, enforce_file_format=True)
    with tls_listener(settings.model_copy(update={"peers": (bound,)})) as running:
        files = ["+tls", "modality.key", "modality.pem", "+cf", "ca.pem"]
        command = [storescu, *files, "-aet", SENDER, "-aec", AE_TITLE, "localhost", str(port), "image.dcm"]
        sent = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert sent.returncode == 0, sent.stderr
        assert len(running.stored()) == 1
