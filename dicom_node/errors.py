"""Why the node stopped doing something.

NodeError
├── ListenError                  the listener cannot start (dicom_node.listen.errors)
├── NotAskedError                a connection became no association (dicom_node.listen.errors)
├── CertificateError             a certificate or its key cannot be used (dicom_node.tls.errors)
├── InstanceRefusedError         a C-STORE ends with a failure status (dicom_node.listen.errors)
├── PeerUnreachableError         a peer did not accept an association (dicom_node.calling)
├── CommitmentRefusedError       a peer does not take a question for commitment (dicom_node.commitment.errors)
├── RetrieveError                a PACS did not give earlier studies (dicom_node.retrieve.errors)
├── BatchError                   a batch was not begun, or its table not written (dicom_node.batch.errors)
├── NoStudyFoundError            a folder holds no DICOM (dicom_node.folders)
├── NoIndexError                 the node never ran with this configuration (dicom_node.index)
├── MissingExtraError            training lacks a package (dicom_node.cli.train)
├── PackStoreError               the record of installed model packs is damaged (dicom_node.pack_store)
├── NothingInstalledError        there is no model pack to go back from (dicom_node.pack_store)
├── MissingOnnxError             the export to ONNX lacks packages (dicom_node.cli.model)
├── ConfiguringError             the configuration file was not edited (dicom_node.configuring.errors)
├── ClusterError                 the Ray cluster cannot be used (dicom_node.cluster.errors)
├── UnknownPeerError             the configuration has no peer of a name (dicom_node.peer_names)
├── NotAllowableError            a refused caller cannot be let in so (dicom_node.refused)
├── LostTestSetError             a defect: the test set is not in its own index (dicom_node.ae_test.send)
├── ContradictingPatientsError   patients that contradict were to be merged (dicom_node.cli.patient)
├── OtherPatientError            an earlier study is of somebody else (dicom_node.infer)
├── ResultsBesideImagesError     results would lie beside images that are read (dicom_node.result_folders)
├── WebAddressError              the pages cannot have their address (dicom_node.web.server)
├── PacsError                    the small PACS cannot start (dicom_node.demo.pacs)
├── SendError                    the demo's node did not take a study (dicom_node.demo.send)
├── DemoNodeError                the demo's node did not start (dicom_node.demo.node)
└── DemoTimeoutError             a study did not come through the demo's node in time (dicom_node.demo.follow)
"""


class NodeError(Exception):
    """The node could not do what was asked; see its log."""

    retryable = False
    """Whether the same may succeed later without anybody changing anything: all that a retry policy reads."""

    def __init__(self, reason: str | None = None) -> None:
        """Keep the reason, a plain sentence without patient data."""
        self.reason = reason or (type(self).__doc__ or "")
        super().__init__(self.reason)
