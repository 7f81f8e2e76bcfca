"""Labelled photographs: where they come from, and how they become batches and samples."""
