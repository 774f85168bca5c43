"""Typed settings of a node and the file they are read from."""

from config.errors import ConfigError, Problem
from config.load import load_settings
from config.settings import Peer, Settings

__all__ = ["ConfigError", "Peer", "Problem", "Settings", "load_settings"]
