"""Can it be believed: studies of the solver against known answers."""
