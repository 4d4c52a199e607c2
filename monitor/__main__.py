"""`python -m monitor` is `offsite`."""

from monitor.cli import main

main()
