"""Why a baseline cannot be used.

PipelineError
└── BaselineError
"""

from pipeline.errors import PipelineError


class BaselineError(PipelineError):
    """A baseline detector cannot be built; install the extra with pip install '.[baselines]'."""
