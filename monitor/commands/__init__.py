"""The sub-commands of `offsite`, one file each; monitor.cli wires them."""
