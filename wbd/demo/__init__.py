"""The demonstration: a whole group at work on entities that the project generates, or on a real dump."""
