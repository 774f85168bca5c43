"""DCMTK's programs as TLS peers of the listener."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.instances import ct_instance
from builders.listener import AE_TITLE, SENDER, RunningListener
from builders.tls_listener import Site, make_site, tls_listener


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Certificates."""
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def listener(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """A listener that verifies certificates where they are shown."""
    settings = site.settings(tmp_path_factory.mktemp("data"), tls={"client_certificates": "optional"})
    with tls_listener(settings) as running:
        yield running


def call(name: str, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the listener with a program of DCMTK; arguments after -- follow the address."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} of DCMTK is not installed")
    before, after = (list(arguments), []) if "--" not in arguments else _split(arguments)
    command = [program, "-aet", SENDER, "-aec", AE_TITLE, *before, "localhost", str(port), *after]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _split(arguments: tuple[str, ...]) -> tuple[list[str], list[str]]:
    at = arguments.index("--")
    return list(arguments[:at]), list(arguments[at + 1 :])


def known(site: Site) -> list[str]:
    """Trust the authority of the site."""
    return ["+cf", str(site.authority.certificate)]


def shown(site: Site) -> list[str]:
    """Show the certificate of the modality."""
    return ["+tls", str(site.modality.key), str(site.modality.certificate), *known(site)]


@pytest.mark.parametrize("profile", ["+py", "+px"])
def test_storescu_stores_over_tls(listener: RunningListener, site: Site, tmp_path: Path, profile: str) -> None:
    """By both profiles of BCP 195 that it has."""
    study = f"8.7.{ord(profile[-1])}"
    path = tmp_path / "ct.dcm"
    ct_instance(study=study).save_as(path, enforce_file_format=True)
    done = call("storescu", listener.port, *shown(site), profile, "--", str(path))
    assert done.returncode == 0, done.stderr
    assert len(listener.objects(study)) == 1


def test_echoscu_without_a_certificate_is_welcome_where_the_site_says_so(listener: RunningListener, site: Site) -> None:
    """Encrypted, and nobody verified."""
    done = call("echoscu", listener.port, "--anonymous-tls", *known(site))
    assert done.returncode == 0, done.stderr


def test_echoscu_without_a_certificate_is_refused_where_it_is_required(site: Site, tmp_path: Path) -> None:
    """The default."""
    with tls_listener(site.settings(tmp_path)) as running:
        assert call("echoscu", running.port, "--anonymous-tls", *known(site)).returncode != 0
        assert call("echoscu", running.port, *shown(site)).returncode == 0


def test_echoscu_without_tls_gets_no_association(listener: RunningListener) -> None:
    """No opportunistic upgrade (PS3.15 B.12)."""
    assert call("echoscu", listener.port).returncode != 0


def test_echoscu_that_does_not_know_the_authority_goes_away(listener: RunningListener) -> None:
    """It is the caller that refuses the node."""
    done = call("echoscu", listener.port, "--anonymous-tls")
    assert done.returncode != 0
    assert "certificate" in (done.stdout + done.stderr).lower()
