"""Why an import stopped, or left a study out.

ImportingError
├── UnknownFormatError
├── ImportOptionError
├── NothingToImportError
├── StudyNotImportedError        one study is left out, the others go on
└── StoreError
    └── DamagedStudyError        of one study; importing it again replaces it
"""

from pipeline.errors import PipelineError


class ImportingError(PipelineError):
    """The import stopped; the message says why."""


class UnknownFormatError(ImportingError):
    """No importer has this name; see `dicom-node import --help`."""


class ImportOptionError(ImportingError):
    """An option of the import makes no sense; the message names it."""


class NothingToImportError(ImportingError):
    """The folder is not laid out as this format is; see docs/import.md."""


class StudyNotImportedError(ImportingError):
    """The study was left out; the reason says what is wrong with it."""


class StoreError(ImportingError):
    """The store cannot be used; the message says what is wrong with it."""


class DamagedStudyError(StoreError):
    """What the store notes of a study is missing or damaged; import the study again."""
