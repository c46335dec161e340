#pragma once

// Included in front of everything that uses protobuf's headers in a ThreadSanitizer build. They give map fields two more
// members when __SANITIZE_THREAD__ is defined; the library, built without the sanitizer, does not know them, and
// reflection over a map field then reads past them. The standard library, which needs the macro too, comes first.
#include <memory>
#undef __SANITIZE_THREAD__
