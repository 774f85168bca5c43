"""The audit trail on its way to a syslog server over TLS."""

import re
from pathlib import Path

import pytest

from builders.audit import EVENTS, build_trail
from builders.audit_schema import schema_problems
from builders.certificates import Authority
from builders.clock import FakeClock
from builders.ports import free_port
from builders.syslog_server import syslog_server
from config.audit import AuditSettings
from dicom_node.audit.chain import Line
from dicom_node.audit.reading import shipped_position, waiting_count
from dicom_node.audit.syslog import SyslogShipper, frame_of
from dicom_node.audit.verifying import verify

# RFC 5424 6: HEADER SP STRUCTURED-DATA SP MSG, the message in UTF-8 behind its byte order mark.
FORM = re.compile(
    rb"<(8[45])>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 [\x21-\x7e]{1,255} dicom-node \d+ DICOM\+RFC3881 "
    rb'\[meta sequenceId="(\d+)"\] \xef\xbb\xbf(.+)',
    re.DOTALL,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of server and node."""
    return Authority(tmp_path_factory.mktemp("ca"))


def shipper(
    folder: Path, port: int, authority: Authority, clock: FakeClock | None = None, **more: object
) -> SyslogShipper:
    """Ships to a server on this machine."""
    said = {"syslog_host": "localhost", "syslog_port": port, "syslog_ca": authority.certificate, **more}
    return SyslogShipper(AuditSettings(**said), folder, clock=clock or FakeClock())


def fill(folder: Path) -> None:
    """Record one event of each kind."""
    trail = build_trail(folder, maximum_file_bytes=4096)
    for event in EVENTS:
        trail.record(event)


def numbers(messages: list[bytes]) -> list[int]:
    """What the messages count, all of which have the form."""
    found = [FORM.fullmatch(message) for message in messages]
    assert all(found)
    return [int(one[2]) for one in found if one]


def test_server_gets_every_message_once_in_order(tmp_path: Path, authority: Authority) -> None:
    """Each by RFC 5424 and by the schema of PS3.15, over files that were put aside."""
    fill(tmp_path)
    with syslog_server(authority.issue("syslog")) as server:
        one = shipper(tmp_path, server.port, authority)
        assert (one.ship_due(), one.ship_due()) == (len(EVENTS), 0)
    assert numbers(server.messages) == list(range(1, len(EVENTS) + 1))
    for message in server.messages:
        assert schema_problems(message.partition(b"\xef\xbb\xbf")[2]) == []
    assert waiting_count(tmp_path) == 0
    assert verify(tmp_path).passed


def test_what_comes_while_the_server_is_down_is_sent_later(tmp_path: Path, authority: Authority) -> None:
    """After a pause; a restart of the node between loses nothing and sends nothing twice."""
    port, clock, identity = free_port(), FakeClock(), authority.issue("syslog")
    fill(tmp_path)
    one = shipper(tmp_path, port, authority, clock)
    assert one.ship_due() == 0
    assert waiting_count(tmp_path) == len(EVENTS)
    with syslog_server(identity, port=port) as first:
        assert one.ship_due() == 0  # left alone for a while
        clock.advance(3)
        assert one.ship_due() == len(EVENTS)
    fill(tmp_path)
    assert shipper(tmp_path, port, authority).ship_due() == 0
    with syslog_server(identity, port=port) as second:
        assert shipper(tmp_path, port, authority).ship_due() == len(EVENTS)
    assert numbers(first.messages + second.messages) == list(range(1, 2 * len(EVENTS) + 1))


def test_batch_that_was_cut_off_is_sent_again(tmp_path: Path, authority: Authority) -> None:
    """A reset connection confirms nothing."""
    clock = FakeClock()
    fill(tmp_path)
    with syslog_server(authority.issue("syslog"), drops=1) as server:
        one = shipper(tmp_path, server.port, authority, clock)
        assert (one.ship_due(), shipped_position(tmp_path).number) == (0, 0)
        clock.advance(3)
        assert one.ship_due() == len(EVENTS)
    assert numbers(server.messages) == list(range(1, len(EVENTS) + 1))


def test_server_with_a_foreign_certificate_gets_nothing(tmp_path: Path, authority: Authority) -> None:
    """Nor one with another name."""
    fill(tmp_path)
    stranger = Authority(tmp_path / "other")
    for identity in (stranger.issue("syslog"), authority.issue("syslog", hosts=["elsewhere.example.org"])):
        with syslog_server(identity) as server:
            assert shipper(tmp_path, server.port, authority).ship_due() == 0
        assert server.messages == []


def test_node_shows_its_certificate_where_the_server_asks(tmp_path: Path, authority: Authority) -> None:
    """Without one nothing counts as sent."""
    fill(tmp_path)
    own = authority.issue("node")
    with syslog_server(authority.issue("syslog"), client_ca=authority) as server:
        assert shipper(tmp_path, server.port, authority).ship_due() == 0
        shown = {"syslog_certificate": own.certificate, "syslog_key": own.key}
        assert shipper(tmp_path, server.port, authority, **shown).ship_due() == len(EVENTS)
    assert numbers(server.messages) == list(range(1, len(EVENTS) + 1))


def test_octets_are_counted_not_characters() -> None:
    """RFC 5425 4.3.1."""
    size, _, message = frame_of(
        Line(number=1, previous="", message="<m n='山田'/>"), hostname="h", process_id=1
    ).partition(b" ")
    assert int(size) == len(message)
