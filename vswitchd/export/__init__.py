"""Exporters: records in, datagrams out."""
