"""Ten questions that somebody with a run in the hand asks, and how many actions the answer takes."""
