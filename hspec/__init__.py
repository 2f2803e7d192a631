"""Spectra of deep-net Hessians."""
