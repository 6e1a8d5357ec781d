"""The Prometheus series of the alerts."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from proxy.operations.alerting import AlertWatch
from proxy.operations.alerts import CHANGES
from proxy.operations.webhook import RESULTS, Webhook

_STATES = {"inactive": 0, "pending": 1, "firing": 2}


def alert_series(watch: AlertWatch, webhook: Webhook) -> Iterator[Metric]:
    """Every series; labels are the names of the shipped alerts and closed vocabularies."""
    state = GaugeMetricFamily(
        "cachewire_alert_state", "How an alert stands: 0 inactive, 1 pending, 2 firing.", labels=("alert",)
    )
    transitions = CounterMetricFamily(
        "cachewire_alert_transitions", "How often an alert came into a state.", labels=("alert", "state")
    )
    for standing in watch.standings():
        name = standing.rule.name
        state.add_metric([name], _STATES[standing.state])
        for change in CHANGES:
            transitions.add_metric([name, change], watch.transitions[name, change])
    deliveries = CounterMetricFamily(
        "cachewire_alert_webhook_deliveries", "Messages to the webhook, by what came of them.", labels=("result",)
    )
    for result in RESULTS:
        deliveries.add_metric([result], webhook.results[result])
    yield from (state, transitions, deliveries)
