"""The phases of the plugins that most requests pass, apart from their settings, so that they can be compiled.

A plugin's class has its settings, decides in ``prepare`` what can be decided, and names the methods of an object of
these as ``direct``.
"""
