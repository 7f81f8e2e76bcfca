"""The runs below a directory over months: their series, trends and changes of level, and what the next should be."""
