"""The demonstration: a complete group that works on generated entities, or on a real dump."""
