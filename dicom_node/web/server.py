"""The pages as a process: starts, shows that it lives, stops."""

import logging
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from threading import Event, Thread

import uvicorn

from config.settings import Settings
from config.tls import ListenTlsSettings
from dicom_node.audit.trail import audit_trail, process_recorded
from dicom_node.clock import SystemClock
from dicom_node.errors import NodeError
from dicom_node.index_at_start import await_index
from dicom_node.listen.tls import TlsPort
from dicom_node.service import notify_stopping, notify_watchdog
from dicom_node.settings_file import SettingsFile
from dicom_node.web.app import build_app, build_site
from dicom_node.web.auditing import PagesAudit
from dicom_node.web.deadlines import PER_ADDRESS, ImpatientLoop, ImpatientProtocol
from dicom_node.web.login_rules import REMEMBERED
from dicom_node.web.site import Site
from storage.database import open_engine
from storage.errors import StorageError
from storage.locks import lock_for_machine

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 5.0
_GRACE_S = 5
_AT_ONCE = 4 * PER_ADDRESS
_KEEP_ALIVE_S = 15


class WebAddressError(NodeError):
    """The pages cannot have their address: see [web] in the configuration."""


def run_web(file: SettingsFile, *, stop: Event, on_ready: Callable[[str], None]) -> None:
    """Serve the pages until told to stop; a database server that is not there yet is waited for.

    Args:
        file: The configuration; it is followed.
        stop: Set to end.
        on_ready: Called once with the address of the pages.

    Raises:
        WebAddressError: The address cannot be had.
        CertificateError: The certificate cannot be used.
        StorageError: The data folder is in use by other pages, or the index cannot be opened.
    """
    settings = file.settings
    with lock_for_machine(settings.data_dir, "web", settings.machine):
        if not await_index(settings, stop=stop):
            return
        engine = open_engine(settings.database_url)
        try:
            clock = SystemClock()
            trail = audit_trail(settings, clock=clock)
            record = PagesAudit(trail, settings, clock=clock)
            site = build_site(file, engine, clock=clock, record=record)
            with process_recorded(trail, settings, "web"), closing(_socket(settings)) as port:
                _serve(site, port, stop=stop, on_ready=on_ready)
        finally:
            engine.dispose()
    logger.info("pages stopped")


def _socket(settings: Settings) -> socket.socket:
    web = settings.web
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    try:
        return socket.create_server((web.host, web.port), family=family)
    except OSError as exc:
        reason = f"[web]: {web.host}:{web.port} cannot be had: {exc.strerror}"
        raise WebAddressError(reason) from exc


def _serve(site: Site, port: socket.socket, *, stop: Event, on_ready: Callable[[str], None]) -> None:
    tls = _tls(site)
    server = uvicorn.Server(_configuration(site, tls))
    thread = Thread(target=server.run, kwargs={"sockets": [port]}, name="pages", daemon=True)
    host, number, *_ = port.getsockname()
    address = f"{'https' if site.is_secure else 'http'}://{f'[{host}]' if ':' in host else host}:{number}/"
    thread.start()
    try:
        logger.info("pages at %s", address)
        on_ready(address)
        while True:
            _beat(site, address)
            if tls:
                tls.look()
            if stop.wait(_HEARTBEAT_S) or not thread.is_alive():
                break
        notify_stopping()
    finally:
        server.should_exit = True
        thread.join(timeout=2 * _GRACE_S)


def _tls(site: Site) -> TlsPort | None:
    """The certificate of the pages, which is read again when it changes; None without one."""
    web = site.started_with.web
    if not site.is_secure:
        return None
    tls = ListenTlsSettings(enabled=True, certificate=web.certificate, key=web.key, client_certificates="none")
    return TlsPort(tls, clock=site.clock, name="pages")


def _configuration(site: Site, tls: TlsPort | None) -> uvicorn.Config:
    web = site.started_with.web
    made = uvicorn.Config(
        build_app(site),
        http=ImpatientProtocol,
        loop=f"{ImpatientLoop.__module__}:{ImpatientLoop.__qualname__}",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        limit_concurrency=_AT_ONCE,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        # Of the loop that serves, so that it says whether that turns.
        callback_notify=_say_alive,
        timeout_notify=int(_HEARTBEAT_S),
        ssl_certfile=web.certificate,
        ssl_keyfile=web.key or web.certificate,
    )
    if tls:
        made.load()
        made.ssl = tls.following_context()
    return made


async def _say_alive() -> None:
    """Tell the service manager; whether the index answers is no matter: another start would not mend it."""
    notify_watchdog()


def _beat(site: Site, address: str) -> None:
    """Leave a sign of life in the index."""
    try:
        site.file.current()
        machine = site.started_with.machine
        site.index.beat("web", address, machine=machine, needs_restart=site.file.needs_restart)
        idle = timedelta(seconds=site.started_with.web.session_lifetime_s)
        site.accounts.forget_old(idle=idle, failures=REMEMBERED)
    except StorageError:
        logger.exception("no sign of life of the pages")
