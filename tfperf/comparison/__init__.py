"""Holds runs against each other and against their history: is this a change, or noise?"""
