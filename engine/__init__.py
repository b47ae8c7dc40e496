"""Pure maths and domain types of leveraged accounts: no clock, no I/O, no UI; standard library only."""
