"""Where the gradient lies in the spectrum."""
