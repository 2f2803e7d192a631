"""The papers' own nets, beside the papers' own numbers."""
