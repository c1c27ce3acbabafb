"""The read side's edge: GraphQL over the read models and the event streams."""
