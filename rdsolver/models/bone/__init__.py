"""The bone model: RANKL and its decoys, precursors and osteoclasts, bone and its delayed formation."""
