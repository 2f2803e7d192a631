"""The papers' own nets, beside the papers' own numbers."""

from hspec.extras import need

need("hspec.papers", "IPython")
