"""How fast the service is, each figure against a floor that is measured in the same run on the same machine."""
