"""Reports held against what sensors said (ADR 0060).

Lives here: the excursions that rules over series told, the deviations that a firm reported, and the rules that compare them.
May not: look at rows (`rules.kinds`), or decide an excursion anew (the rules that told it do).
"""
