"""The configuration as an edge begins with it: a preset, and what operators have kept of live changes, laid over it.

For whoever asks without a running edge; an edge reads the same files with the same functions.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.compression import can_compress
from proxy.config.loading import Loaded
from proxy.operations.alert_rules import SHIPPED
from proxy.operations.alerting import recalled
from proxy.operations.kept_changes import KeptChanges
from proxy.tuning.kept import Kept, kept_at, read_kept, starting_state
from proxy.tuning.knobs import keys_of, with_values

BY_HAND = "by hand, kept"


def as_started(loaded: Loaded) -> Loaded:
    """What was loaded, with what a start adds to it and who it is from. It reads files that operators have kept."""
    return _with_alerts(_with_tuning(loaded))


def _with_tuning(loaded: Loaded) -> Loaded:
    config = loaded.config
    path = kept_at(config.cache)
    kept = Kept() if path is None else read_kept(path)
    keys = keys_of(realtime=config.realtime.enabled, compression=can_compress(config.cache.compression.codings))
    state = starting_state(config, keys, kept)
    now = {key: state.effective(key) for key in state.changed()}
    sources = {key: value.words if value.since is None else f"{value.words}, kept" for key, value in now.items()}
    config = with_values(config, {key: value.value for key, value in now.items()})
    tuning = config.tuning
    if kept.preset is not None:
        tuning = tuning.model_copy(update={"preset": kept.preset.name})
        sources["tuning.preset"] = BY_HAND
    if kept.auto is not None:
        tuning = tuning.model_copy(update={"auto": tuning.auto.model_copy(update={"enabled": kept.auto})})
        sources["tuning.auto.enabled"] = BY_HAND
    return replace(loaded, config=config.model_copy(update={"tuning": tuning}), sources={**loaded.sources, **sources})


def _with_alerts(loaded: Loaded) -> Loaded:
    config = loaded.config
    file = KeptChanges.of_alerts(config.cache)
    kept = {} if file is None else file.read()
    sections = recalled(config.alerts, kept)
    rules = config.alerts.rules.model_copy(update={SHIPPED[name].key: section for name, section in sections.items()})
    config = config.model_copy(update={"alerts": config.alerts.model_copy(update={"rules": rules})})
    sources = {f"alerts.rules.{SHIPPED[name].key}.{key}": BY_HAND for name in sections for key in kept[name]}
    return replace(loaded, config=config, sources={**loaded.sources, **sources})
