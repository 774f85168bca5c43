"""Callers that come through a load balancer, played by the test and by a real HAProxy."""

import csv
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomlkit

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import SENDER, RunningListener, association, listener_settings, running_listener, send
from builders.ports import free_port
from builders.proxy_header import header_of_version_1, header_of_version_2
from builders.raw_peer import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, RawPeer, associate_request
from builders.tls_listener import Site
from config.load import settings_from_text
from dicom_node.index import open_index

PAGE = Path(__file__).parents[2] / "docs" / "listeners.md"
States = Callable[[], dict[str, tuple[str, str, str]]]
BALANCER = "127.0.0.9"
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")

HAPROXY_CONFIGURATION = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend dicom
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    balance roundrobin
    {servers}
"""


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[RunningListener]:
    """Behind a load balancer, with place for two associations of one address."""
    settings = listener_settings(tmp_path, load_balancers=(BALANCER,), maximum_associations_per_address=2)
    with running_listener(settings) as running:
        yield running


@contextmanager
def through_balancer(listener: RunningListener, header: bytes) -> Iterator[RawPeer]:
    """A connection of the load balancer."""
    with RawPeer(listener.port, source=BALANCER) as peer:
        peer.send(header)
        yield peer


@pytest.mark.parametrize("header_of", [header_of_version_1, header_of_version_2])
def test_callers_of_one_balancer_are_counted_by_their_own_addresses(
    listener: RunningListener, header_of: object
) -> None:
    """Three of one caller are one too many, another caller finds a place."""
    assert callable(header_of)
    with ExitStack() as stack:
        answers = []
        for number, address in enumerate(["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]):
            peer = stack.enter_context(through_balancer(listener, header_of(address, 40_000 + number)))
            answers.append(peer.associate()[0])
    assert answers == [A_ASSOCIATE_AC, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_AC]


@pytest.mark.parametrize("source", [b"fe80::1%nosuchif fe80::2 40000", b"::1 ::1 99999"], ids=["a zone", "a port"])
def test_a_source_that_can_be_none_is_cut_and_said(
    listener: RunningListener, caplog: pytest.LogCaptureFixture, source: bytes
) -> None:
    """It ends no thread in an exception."""
    with through_balancer(listener, b"PROXY TCP6 " + source + b" 11112\r\n" + associate_request()) as peer:
        assert peer.receive_pdu() == (0, b"")
    assert (
        f"connection from {BALANCER} cut: what the load balancer says of the caller is no PROXY header" in caplog.text
    )


def test_a_refused_caller_is_shown_under_its_own_address(listener: RunningListener) -> None:
    """The administrator adds the caller, not the balancer."""
    with through_balancer(listener, header_of_version_2("192.0.2.7", 40_000)) as peer:
        assert peer.associate(calling=b"STRANGER")[0] == A_ASSOCIATE_RJ
    index = open_index(listener.settings)

    def addresses() -> list[str]:
        return [caller.key.address for caller in index.refused_callers.newest()]

    until(lambda: addresses() == ["192.0.2.7"], within_s=10, what="the caller is noted")
    index.close()


def test_a_balancer_that_does_not_say_whom_it_speaks_for_is_cut(
    listener: RunningListener, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller could say it in its place otherwise."""
    with through_balancer(listener, b"") as peer:
        assert peer.associate()[0] == 0
    assert "let it send the PROXY protocol" in caplog.text


def test_nobody_else_is_believed(listener: RunningListener) -> None:
    """A header from another address is no association request."""
    with RawPeer(listener.port) as peer:
        peer.send(header_of_version_2("192.0.2.7", 40_000))
        assert peer.associate()[0] == 0
    assert send(listener.port, ct_instance()) == [0x0000]


def test_a_caller_behind_a_balancer_cannot_name_another(listener: RunningListener) -> None:
    """The balancer's header comes first; a second one is no association request."""
    header = header_of_version_2("192.0.2.7", 40_000) + header_of_version_2("192.0.2.8", 40_000)
    with through_balancer(listener, header) as peer:
        assert peer.associate()[0] == 0


def test_the_header_comes_before_the_handshake(tmp_path: Path, tls_site: Site) -> None:
    """On the TLS port the balancer, which has no key, speaks in the clear first."""
    settings = tls_site.settings(tmp_path, load_balancers=(BALANCER,))
    with (
        running_listener(settings),
        socket.create_connection(("127.0.0.1", settings.listen.tls.port), source_address=(BALANCER, 0)) as connection,
    ):
        connection.sendall(header_of_version_2("192.0.2.7", 40_000))
        context = tls_site.client(tls_site.modality)
        context.check_hostname = False
        with context.wrap_socket(connection) as secured:
            secured.settimeout(15)
            secured.sendall(associate_request())
            assert secured.recv(1)[0] == A_ASSOCIATE_AC


def test_a_listener_with_a_balancer_on_its_own_machine_still_calls_itself(tmp_path: Path) -> None:
    """It is ready, and stays so: its own call needs no header."""
    settings = listener_settings(tmp_path, load_balancers=("127.0.0.1",))
    with running_listener(settings) as running, RawPeer(running.port) as peer:
        peer.send(header_of_version_1("192.0.2.7", 40_000))
        assert peer.associate()[0] == A_ASSOCIATE_AC


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed: apt install haproxy")
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_real_balancer_spreads_callers_over_two_listeners(tmp_path: Path, version: str) -> None:
    """Each takes its share; one that goes away is noticed, and the other one takes all."""
    folders = [tmp_path / "a", tmp_path / "b"]
    with ExitStack() as stack:
        first_alone = ExitStack()
        running = [
            (first_alone if number == 0 else stack).enter_context(
                running_listener(listener_settings(folder, load_balancers=("127.0.0.1",)))
            )
            for number, folder in enumerate(folders)
        ]
        port = stack.enter_context(haproxy(tmp_path, [one.port for one in running], option=version))
        for number in range(4):
            assert send(port, ct_instance(number)) == [0x0000]
        assert [len(one.stored()) for one in running] == [2, 2]
        first_alone.close()
        for number in range(4, 7):
            until(lambda n=number: send_or_none(port, n) == [0x0000], within_s=30, what="the other one takes it")
        assert len(running[1].stored()) == 5


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed: apt install haproxy")
def test_the_example_of_the_page_takes_out_a_listener_that_is_gone(tmp_path: Path, tls_site: Site) -> None:
    """docs/listeners.md, node.toml and HAProxy: both are ready by /ready over TLS and take their share; then one is not."""
    with ExitStack() as stack, ExitStack() as first_alone:
        nodes = [
            stack.enter_context(node_of_the_page(tmp_path / name, tls_site, listening=own))
            for name, own in (("node-a", first_alone), ("node-b", stack))
        ]
        port, states = stack.enter_context(haproxy_of_the_page(tmp_path, tls_site, nodes))
        until(lambda: states() == READY, within_s=60, what="both listeners are ready")
        for number in range(2):
            assert send(port, ct_instance(number), called_aet="DICOMNODE") == [0x0000]
        first_alone.close()
        gone = {**READY, "node-a": ("DOWN", "L7STS", "503")}
        until(lambda: states() == gone, within_s=90, what="the first one is taken out")
        for number in range(2, 4):
            assert send(port, ct_instance(number), called_aet="DICOMNODE") == [0x0000]
        stored = [len(node.listener.stored()) for node in nodes]
    assert sum(stored) == 4
    assert stored[1] >= 3


READY = dict.fromkeys(("node-a", "node-b"), ("UP", "L7OK", "200"))


@dataclass(frozen=True, kw_only=True)
class PageNode:
    """A node set up by the page."""

    listener: RunningListener
    web_port: int


@contextmanager
def node_of_the_page(folder: Path, tls_site: Site, *, listening: ExitStack) -> Iterator[PageNode]:
    """The node.toml of the page, with ports, folder and certificate of the test and an index of its own.

    Args:
        folder: Of the node.
        tls_site: Whose authority HAProxy knows.
        listening: Ends the listener.

    Yields:
        The node, while its pages run too.
    """
    folder.mkdir()
    example = PAGE.read_text(encoding="utf-8").split("its own node.toml:\n\n")[1].split("\n\n")[0]
    table = tomllib.loads(textwrap.dedent(example))
    assert table["storage"].pop("shared") and table["storage"].pop("database_url")
    web_port = free_port()
    table["node"] |= {"data_dir": str(folder / "data"), "machine": folder.name}
    table["listen"] |= {"port": free_port(), "load_balancers": ["127.0.0.1"]}
    table["web"] |= {"port": web_port, "certificate": str(tls_site.node.certificate), "key": str(tls_site.node.key)}
    table["peers"] = [{"name": "ct", "ae_title": SENDER, "host": "127.0.0.1", "port": 104}]
    # The limits of senders and of disks stay as they are; a listener that is gone is to be seen soon.
    table["watching"] = {"heartbeat_limit_s": 12.0}
    config = folder / "node.toml"
    config.write_text(tomlkit.dumps(table))
    running = listening.enter_context(running_listener(settings_from_text(config.read_text(), name=config.name)))
    command = [sys.executable, "-m", "dicom_node", "--config", str(config), "web"]
    with (folder / "web.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as pages:
        try:
            yield PageNode(listener=running, web_port=web_port)
        finally:
            pages.terminate()


@contextmanager
def haproxy_of_the_page(folder: Path, tls_site: Site, nodes: list[PageNode]) -> Iterator[tuple[int, States]]:
    """HAProxy with the example of the page; its port, and what it thinks of each server: state, check, HTTP status."""
    assert HAPROXY is not None
    port = free_port()
    example = "    frontend" + PAGE.read_text(encoding="utf-8").split("    frontend", 1)[1].split("\n\n")[0]
    example = example.replace("bind :11112", f"bind 127.0.0.1:{port}")
    example = example.replace("/etc/haproxy/site-ca.pem", str(tls_site.authority.certificate))
    for node, address in zip(nodes, ("192.0.2.11:11112", "192.0.2.12:11112"), strict=True):
        assert address in example
        example = example.replace(address, f"127.0.0.1:{node.listener.port}")
        example = example.replace("check port 8085 ", f"check port {node.web_port} ", 1)
    # The path of a socket is short (unix(7), 108 bytes).
    with tempfile.TemporaryDirectory(prefix="ha") as sockets:
        question = Path(sockets) / "stats"
        configuration = folder / "haproxy.cfg"
        configuration.write_text(f"global\n    stats socket {question}\n{example}\n")
        with subprocess.Popen([HAPROXY, "-db", "-f", configuration]) as process:
            try:
                until(lambda: is_open(port), within_s=30, what="HAProxy serves")
                yield port, lambda: states_of_servers(question)
            finally:
                process.terminate()


def states_of_servers(question: Path) -> dict[str, tuple[str, str, str]]:
    """As HAProxy sees them (HAProxy's management guide, 9.1, CSV format)."""
    with socket.socket(socket.AF_UNIX) as caller, caller.makefile("r") as answer:
        caller.connect(str(question))
        caller.sendall(b"show stat\n")
        rows = list(csv.DictReader(answer))
    servers = [row for row in rows if row["svname"] not in {"FRONTEND", "BACKEND"}]
    return {row["svname"]: (row["status"], row["check_status"], row["check_code"]) for row in servers}


def send_or_none(port: int, number: int) -> list[int]:
    """The answers; none where the balancer has nobody for the caller yet."""
    contexts = [("1.2.840.10008.5.1.4.1.1.2", ["1.2.840.10008.1.2.1"])]
    with association(port, contexts) as opened:
        return [int(opened.send_c_store(ct_instance(number)).get("Status", -1))] if opened.is_established else []


@contextmanager
def haproxy(folder: Path, ports: list[int], *, option: str) -> Iterator[int]:
    """A real HAProxy in front of listeners; its port."""
    assert HAPROXY is not None
    port = free_port()
    servers = "\n    ".join(f"server node-{at} 127.0.0.1:{at} {option} check inter 1s" for at in ports)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(HAPROXY_CONFIGURATION.format(port=port, servers=servers))
    with subprocess.Popen([HAPROXY, "-db", "-f", configuration], stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: is_open(port), within_s=30, what="HAProxy serves")
            yield port
        finally:
            process.terminate()


def is_open(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
