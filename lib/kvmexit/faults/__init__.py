"""Deliberate faults, and the checks that catch them: what the tests are worth."""
