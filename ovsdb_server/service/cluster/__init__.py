"""Clusters of several members, which meet on etcd: its client, its supervisor, the member."""
