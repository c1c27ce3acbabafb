"""The member record: who is covered, what happened to the premium, and what a transaction out of order does."""
