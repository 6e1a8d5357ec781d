"""The configuration: model, sources, and errors that say where and what would be right."""

from proxy.config.model import Config, Route

__all__ = ["Config", "Route"]
