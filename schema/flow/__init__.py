"""The field, op and drop-reason tables that the C datapath and the OpenFlow codec derive from."""
