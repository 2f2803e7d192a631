"""Speed, accuracy and memory of hspec beside other packages, in one run:
`python -m benchmarks`."""
