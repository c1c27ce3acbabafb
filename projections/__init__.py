"""The projection engine and the read models: their tables, folds and queries."""
