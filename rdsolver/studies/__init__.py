"""Tests of results: verification, validation, sensitivity, gallery."""
