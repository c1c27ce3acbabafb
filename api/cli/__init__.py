"""The command line `rollon`."""
