"""What every other room leans on: refusal codes, privileges and roles, parameters, API keys."""
