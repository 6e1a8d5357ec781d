"""Settings that change while the edge runs: presets, single values, and what it does by itself while alerts fire."""
