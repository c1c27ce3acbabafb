"""Partner files in the database: what was received, its steps, and what became of each."""
