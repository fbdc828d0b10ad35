// SPDX-License-Identifier: Apache-2.0
//
// What all pages of this folder begin with.
//
// Thread safety: pure functions.
#pragma once

#include <string>

namespace aio::sim {

std::string Escaped(const std::string& text);
// Up to the first heading; the page ends with "</html>".
std::string HtmlHead(const std::string& title);

}  // namespace aio::sim
