"""Rules over facts of one subject that come in any order: what holds is worked out anew of all that is kept (ADR 0069).

Lives here: what is kept of events and reports as text, what follows from it (one file a kind), and how that is told.
May not: wait for what is not kept, or look at series (`rules.kinds`) and at alarms of other rules (`rules.excursions`).
"""
