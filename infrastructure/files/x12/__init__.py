"""X12: delimiters and segments, envelope, data elements, loop grammar, and the two transaction sets read."""
