"""The embedded data: scenes of shapes, drawn by program, with labels, boxes, captions and questions.

A scene is laid out by `scene`, painted by `draw` and described by `words`; `builder` keeps scenes as a data set.
`scattered` draws scenes for detection, in memory.
"""
