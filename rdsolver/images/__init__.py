"""Where, from a scan: formats, voxels, grey values, resampling."""
