"""One run: its folder, file, checkpoints, resume and summary."""
