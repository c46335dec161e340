#pragma once

namespace luna::worker::ops {

/// Ends the threads that libtorch keeps for the calling thread's parallel work; its next parallel
/// work starts new ones. To be called by whoever has nothing to do for a while: OpenMP counts these
/// threads, and once there are more of them than processors, every thread sleeps at once instead of
/// spinning until its next piece of work comes. A forward of a small model has hundreds of such
/// pieces, and waking takes longer than most of them. Does nothing where the runtime cannot do it.
void end_parallel_threads();

}  // namespace luna::worker::ops
