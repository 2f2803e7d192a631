"""One folder a chapter, named as its notebook: what it measures, what it makes of a claim, what it
draws.

No chapter imports another; what two of them share lies in `hspec.experiments` and `hspec.figures`.
"""

from hspec.extras import need

need("hspec.chapters", "pandas", "sklearn")
