// SPDX-License-Identifier: Apache-2.0
//
// The part of Asio that speaks TLS, compiled once (base/asio.cc has the rest).
#include <boost/asio/ssl/impl/src.hpp>
