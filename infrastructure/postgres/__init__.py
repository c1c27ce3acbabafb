"""PostgreSQL: the embedded server, connections and their pools, migrations, records kept beside the log."""
