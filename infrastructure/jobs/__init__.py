"""Where jobs run: their runs in the database, in a thread or behind a message broker, by hand or by the schedule."""
