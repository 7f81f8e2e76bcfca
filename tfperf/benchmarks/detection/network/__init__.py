"""The layers that detectors share: residual stages, the feature pyramid, and the rows that heads predict."""
