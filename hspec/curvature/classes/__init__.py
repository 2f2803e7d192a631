"""G by classes: levels of tables, means over classes, the parts of G, and its exact spectrum."""
