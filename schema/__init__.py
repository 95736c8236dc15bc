"""Declarations: database schemas, the field, op and drop tables, OpenFlow tables. Imports nothing of ours."""
