"""Pure HTTP caching policy: time is an argument, nothing here does I/O (checked by import-linter)."""
