"""Studies of whether results can be trusted: verification, validation, sensitivity, gallery."""
