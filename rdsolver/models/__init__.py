"""The models: their fields, parameters, rates and observables."""
