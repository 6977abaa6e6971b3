"""What is left on disk: one run.h5 that h5py, xarray and ParaView open."""
