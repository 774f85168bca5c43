"""Why the pipeline stopped.

PipelineError
├── StudyRefusedError            the study ends as `skipped`, with the reason
│   ├── NoSuitableSeriesError
│   ├── WrongVolumeError
│   └── NotAChestError
├── UnreadableStudyError         the study ends as `pipeline_failed`
├── PatientScoreError            the same
├── ModelPackError
└── PlugInError
"""


class PipelineError(Exception):
    """The pipeline stopped; see the log of the worker."""

    retryable = False

    def __init__(self, reason: str | None = None) -> None:
        """Keep the reason, a plain sentence without patient data."""
        self.reason = reason or (type(self).__doc__ or "")
        super().__init__(self.reason)


class StudyRefusedError(PipelineError):
    """The study cannot be analysed; nothing is wrong with the node."""


class NoSuitableSeriesError(StudyRefusedError):
    """The study has no axial chest CT series that the pipeline may read; the reasons per series say what to change."""


class WrongVolumeError(StudyRefusedError):
    """The slices of the chosen series do not make an even volume; send the complete original series."""


class NotAChestError(StudyRefusedError):
    """No lungs were found in the volume. Route only chest CT to this node."""

    advice = "Route only chest CT to this node."

    @property
    def finding(self) -> str:
        """What is wrong with the volume, a plain sentence: the reason without the advice."""
        return self.reason.removesuffix(self.advice).rstrip()


class UnreadableStudyError(PipelineError):
    """The images of the study could not be read; send them again."""


class PatientScoreError(PipelineError):
    """The detector's answers make no patient score: its weights may be damaged; try the pack out, `dicom-node model check`."""


class ModelPackError(PipelineError):
    """The model pack is missing, damaged or of another version; install it again."""


class PlugInError(PipelineError):
    """A plug-in of another package is missing or broke its contract; mend it, or choose the pack's own network."""
