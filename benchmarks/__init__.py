"""Performance as ratios: every row measures ours and its baseline side by side in one run."""
