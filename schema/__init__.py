"""Declarations: database schemas, field, op and drop tables, OpenFlow; where the C extensions are.

Imports nothing of ours.
"""
