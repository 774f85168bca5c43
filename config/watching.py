"""The settings of metrics and probes, `[watching]`."""

from typing import Annotated

from pydantic import Field

from config.table import Table


class WatchingSettings(Table):
    """What monitoring sees."""

    metrics: bool = True
    heartbeat_limit_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
