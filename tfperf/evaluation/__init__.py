"""Evaluates any Keras model, SavedModel or callable under the load that its users will put on it.

`evaluate.evaluate` is one evaluation, top to bottom: it adapts the model (`subject`) and the data (`examples`), makes
the compiled forms (`executables`), judges each on the whole data (`judge`), and sends requests phase by phase
(`phases`, `issuer`) into bounded memory (`answered`). Nothing in the user's model is changed.
"""
