#pragma once

namespace luna::support {

/// How often a test repeats itself: `quick`, or `thorough` in the long suite (LUNA_LONG=1).
int repetitions(int quick, int thorough);

}  // namespace luna::support
