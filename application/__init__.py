"""Use cases: commands, their handlers, process managers, and ports for what the outside provides."""
