"""A calibration that is in force whenever a test plays: a sensor without one has an alarm of `register.calibration-due`."""

CALIBRATION = {"done": "2026-01-05", "due": "2099-12-31"}
"""Without points: `register.sensor-error` has nothing to say of it."""
