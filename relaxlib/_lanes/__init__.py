"""The compiled engine of paths: 64 of them side by side, in blocks of lanes."""
