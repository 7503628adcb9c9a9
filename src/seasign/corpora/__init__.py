"""Corpora on disk -> what there is to learn from; one module per layout."""
