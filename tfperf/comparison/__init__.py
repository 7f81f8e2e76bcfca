"""Compares repeated runs: is this a change, or noise?"""
