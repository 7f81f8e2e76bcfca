"""Sends requests under the load that the users of a model will put on it, in bounded memory."""
