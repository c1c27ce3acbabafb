"""Readers and writers of partner files: X12 834 and 820, BAI2, camt.053, camt.054. The door is `reader.read_file`."""
