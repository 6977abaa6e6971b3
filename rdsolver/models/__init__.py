"""What: a model is fields, parameters, pointwise rates, fluxes and observables."""
