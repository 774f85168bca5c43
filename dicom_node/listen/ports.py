"""The ports of the listener, with TLS and without."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread

from pynetdicom import AE
from pynetdicom.association import Association

from config.settings import Settings
from dicom_node.calling import PeerUnreachableError
from dicom_node.listen.association import ListenServer, set_limits
from dicom_node.listen.contexts import contexts_of
from dicom_node.listen.errors import ListenError
from dicom_node.listen.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.listen.processes import ReceivingProcesses
from dicom_node.listen.self_call import SelfCall
from dicom_node.listen.services import Services
from dicom_node.listen.tls import TlsPort
from dicom_node.machines import owner_of_parts
from storage.disk import private_folder

_ACCEPT_POLL_S = 0.1
# Ours is the limit that counts (Admission); pynetdicom's would also count the listener's call to itself.
_NO_LIMIT = 100_000
_ACSE_TIMEOUT_S = 10.0


class Ports:
    """Accepts associations on every port that the configuration opens."""

    def __init__(self, settings: Settings, services: Services, *, folder: Path) -> None:
        """Bind and listen; nothing is accepted yet.

        Raises:
            ListenError: An address cannot be had.
            CertificateError: The certificates of the TLS port cannot be used.
        """
        self._clock = services.clock
        self._servers: list[ListenServer] = []
        clock, listen = services.clock, settings.listen
        self._self_call = SelfCall(settings, folder, aet=services.admission.probe_aet, now=clock.now())
        self.tls = TlsPort(listen.tls, clock=clock, self_call=self._self_call) if listen.tls.enabled else None
        self._others: ReceivingProcesses | None = None
        ae = application_entity(settings)
        try:
            if listen.plain:
                self._servers.append(_bound(ae, settings, services, port=listen.port))
            if self.tls:
                self._servers.append(_bound(ae, settings, services, port=listen.tls.port, tls=self.tls))
        except ListenError:
            self._close_sockets()
            raise

    def start(self) -> None:
        """Accept from now on, each port in a thread of its own."""
        for server in self._servers:
            name = "accept TLS" if server.tls else "accept"
            Thread(target=server.serve_forever, args=(_ACCEPT_POLL_S,), name=name, daemon=True).start()

    def share_with(self, others: ReceivingProcesses) -> None:
        """Give connections to further processes from now on."""
        self._others = others
        for server in self._servers:
            server.others = others

    def close(self) -> None:
        """Accept no more; associations go on."""
        for server in self._servers:
            server.shutdown()

    @property
    def open(self) -> tuple[int, ...]:
        """Port numbers, the one without TLS first."""
        return tuple(int(server.server_address[1]) for server in self._servers)

    @property
    def words(self) -> str:
        """`port 11112, TLS port 2762`."""
        named = zip(self._servers, self.open, strict=True)
        return ", ".join(f"TLS port {port}" if server.tls else f"port {port}" for server, port in named)

    @property
    def active_associations(self) -> list[Association]:
        """On every port."""
        return [association for server in self._servers for association in server.active_associations]

    def look_at_certificates(self) -> None:
        """Read those that have changed again."""
        if self.tls:
            self.tls.look()

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on; ports and certificates stay."""
        for server in self._servers:
            server.follow(settings)

    def probe(self) -> None:
        """Call each port.

        Raises:
            PeerUnreachableError: One does not answer.
        """
        with self._others.held() if self._others else nullcontext():
            for server, port in zip(self._servers, self.open, strict=True):
                tls = server.tls
                call = self._self_call.tls(port, tls.fingerprint) if tls else self._self_call.plain(port)
                try:
                    call()
                except RuntimeError as exc:
                    # Thread.start in pynetdicom.
                    reason = "no thread can be started to call it"
                    raise PeerUnreachableError(reason) from exc

    def _close_sockets(self) -> None:
        for server in self._servers:
            server.server_close()


@contextmanager
def open_ports(
    settings: Settings, services: Services, *, lock_descriptors: Sequence[int]
) -> Iterator[tuple[Ports, ReceivingProcesses]]:
    """Ports that accept, and the further processes that serve connections.

    Args:
        settings: Of the node.
        services: Of this process.
        lock_descriptors: Of the locks of the data folder.
    """
    # Not among the temporary files of the machine: a listener that is killed would leave them there for good.
    folder = settings.data_dir / f"{owner_of_parts('listen', settings.machine)}.run"
    with private_folder(folder):
        ports = Ports(settings, services, folder=folder)
        others = ReceivingProcesses(
            settings, services.admission.places, clock=services.clock, folder=folder, descriptors=lock_descriptors
        )
        others.start()
        ports.share_with(others)
        ports.start()
        yield ports, others


def application_entity(settings: Settings) -> AE:
    """The node as pynetdicom sees it."""
    ae = AE(ae_title=settings.node.ae_title)
    set_limits(ae, settings)
    ae.acse_timeout = _ACSE_TIMEOUT_S
    ae.maximum_associations = _NO_LIMIT
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return ae


def _bound(ae: AE, settings: Settings, services: Services, *, port: int, tls: TlsPort | None = None) -> ListenServer:
    """A server on its address; its presentation contexts are shared by all associations."""
    host = settings.listen.host
    address = f"{host} {port}"
    try:
        return ListenServer(ae, (host, port), contexts_of(settings), services=services, tls=tls)
    except OSError as exc:
        raise ListenError(address, exc.strerror or type(exc).__name__) from exc
