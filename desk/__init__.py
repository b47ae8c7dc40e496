"""Live state: supervises feeds, makes one immutable snapshot after another, runs alert rules on every change."""
