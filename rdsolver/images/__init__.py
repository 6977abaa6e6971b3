"""Sections from scans: formats, voxels, grey values, resampling."""
