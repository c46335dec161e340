"""The public wire (proto/luna/v1) over gRPC."""
