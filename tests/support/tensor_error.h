#pragma once

#include <span>
#include <vector>

#include <gmock/gmock.h>

namespace luna::support {

/// ||a - b|| / ||b|| in f64; b is the reference. Infinity when the lengths differ or a value of `a`
/// is not finite; ||a|| itself when b is all zeros.
double relative_error(std::span<const float> a, std::span<const float> b);
/// max |a - b|; infinity as above.
double largest_difference(std::span<const float> a, std::span<const float> b);

/// EXPECT_THAT(values, IsNear(reference, 1e-4)): relative_error(values, reference) <= limit.
MATCHER_P2(IsNear, reference, limit,
           "has a relative error of at most " + testing::PrintToString(limit)) {
  const std::span<const float> found(arg), expected(reference);
  const double found_error = relative_error(found, expected);
  *result_listener << "relative error " << found_error << ", largest difference "
                   << largest_difference(found, expected) << ", " << found.size()
                   << " values against " << expected.size();
  return found_error <= limit;
}

}  // namespace luna::support
