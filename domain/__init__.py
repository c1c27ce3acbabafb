"""Pure billing rules: values, decisions and aggregates. No I/O, no clock, no randomness."""
