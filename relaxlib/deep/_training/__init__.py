"""Training runs: what they are, how they advance, what they are judged by."""
