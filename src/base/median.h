// SPDX-License-Identifier: Apache-2.0
//
// Thread safety: pure function.
#pragma once

#include <span>

namespace aio {

// The middle value; of an even count the mean of the two in the middle. 0 for
// none.
double Median(std::span<const double> values);
// The same; changes their order.
double MedianInPlace(std::span<double> values);

}  // namespace aio
