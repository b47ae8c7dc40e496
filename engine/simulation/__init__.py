"""Risk science: estimates in float arrays. Commands and panes import it when they need it; the live path never does."""
