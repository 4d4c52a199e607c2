"""Legal clocks (kind `deadline`): which reports are due when, in the fold (ADR 0057)."""
