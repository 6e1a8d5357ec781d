"""The configuration: model, sources, and errors that say where and what would be right."""

from proxy.config.loading import Loaded, load
from proxy.config.model import Config, Route

__all__ = ["Config", "Loaded", "Route", "load"]
