"""Solvency proof: health above a floor, shown without amounts. `docs/solvency-proof.md` is the specification."""
