"""`python -m proxy` is `cachewire`."""

from proxy.cli import main

main(prog_name="cachewire")
