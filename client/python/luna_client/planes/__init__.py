"""How tensors cross between client and daemon: docs/decisions/0016-data-planes.md."""
