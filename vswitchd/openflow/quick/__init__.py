"""The common flow_mods and flow statistics without Python; see `codec`."""
