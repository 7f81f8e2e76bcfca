"""Text as the word pieces of a vocabulary."""
