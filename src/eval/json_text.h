// SPDX-License-Identifier: Apache-2.0
//
// JSON for people and programs: indented, with numbers as a person writes them
// (Boost's own text of 0.93 is 9.3E-1).
//
// Thread safety: a pure function.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace aio::eval {

// Numbers that are not whole get six significant digits; what JSON cannot say
// (infinities and NaN) becomes null. What lies deeper than three levels stands
// on one line. Ends in a line break.
std::string JsonText(const boost::json::value& value);

}  // namespace aio::eval
