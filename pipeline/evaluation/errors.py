"""Why an evaluation stopped.

PipelineError
├── EvaluationConfigError
└── EvaluationError
"""

from pipeline.errors import PipelineError


class EvaluationConfigError(PipelineError):
    """The evaluation configuration is wrong; the message names the key."""


class EvaluationError(PipelineError):
    """The evaluation cannot go on with what it was given; the message says what is missing."""
