"""The product: people and operation.

Lives here: the command line, gateway, desk, console, register, notifications, simulation.
May not: be imported by streams or rules.
"""
