"""What: fields, parameters, rates and observables of each model."""
