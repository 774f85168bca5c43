"""The database server goes away while the listener runs."""

from pathlib import Path

import pytest

from builders.instances import ct_instance
from builders.listener import listener_settings, running_listener, send
from builders.postgres import running_server, why_no_postgres
from config.storage import StorageSettings

pytestmark = pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres() or "there is one")


def test_nothing_is_lost_when_the_server_crashes(tmp_path: Path) -> None:
    """Senders hear 0xA700 meanwhile, and Success by themselves afterwards; what was acknowledged is there."""
    with running_server() as server:
        storage = StorageSettings(free_floor_bytes=0, database_url=server.url)
        settings = listener_settings(tmp_path).model_copy(update={"storage": storage})
        with running_listener(settings) as listener:
            assert send(listener.port, ct_instance(1)) == [0x0000]
            server.stop("immediate")
            assert send(listener.port, ct_instance(2)) == [0xA700]
            server.start()
            assert send(listener.port, ct_instance(2), ct_instance(3)) == [0x0000, 0x0000]
            assert len(listener.stored()) == 3
