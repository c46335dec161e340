"""What the calls need of the world: gRPC, locks, waiting. Once for threads, once for an event
loop."""
