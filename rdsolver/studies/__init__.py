"""Can it be believed: verification, validation, sensitivity, gallery."""
