"""What the outside sees: REST commands, GraphQL queries, the command line, authentication."""
