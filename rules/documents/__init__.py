"""Rules over what submitted reports say (kinds `document` and `balance`; ADR 0059): conditions, kept reports, verdicts."""
