"""What partner files say, free of their formats: enrolment, remittance, bank statements, and why a file is refused."""
