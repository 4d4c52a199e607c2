"""Rule kinds, one file each: parameters compiled from a rule and the register, and their kernel."""
