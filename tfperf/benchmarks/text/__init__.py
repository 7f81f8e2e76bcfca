"""Text: vocabularies and word pieces."""
