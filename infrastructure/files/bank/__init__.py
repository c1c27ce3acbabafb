"""Bank statement formats: BAI2, ISO 20022 camt.053 and camt.054."""
