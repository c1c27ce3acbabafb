"""The event store: how domain events are written, chained, found again by stream, and read in the order of the log."""
