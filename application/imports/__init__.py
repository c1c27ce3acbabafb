"""Taking partner files in: what a file says becomes steps, and each step a command, a note, or work for a person."""
