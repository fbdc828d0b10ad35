// SPDX-License-Identifier: Apache-2.0
//
// An HTTP response from bytes as they come, over Beast's parser: the few header
// fields that matter here, and the body in pieces.
//
// Thread safety: none.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace aio::upstream {

class ResponseReader
    : public boost::beast::http::basic_parser</*isRequest=*/false> {
 public:
  explicit ResponseReader(size_t header_bytes_max);

  // Takes from `bytes` what can be taken; what it leaves must come again, with
  // more behind it. kCorrupt if this is no HTTP.
  Result<size_t> Feed(std::string_view bytes);
  // The connection has ended. kUnavailable if the response had not.
  Result<void> End();

  bool has_header() const { return is_header_done(); }
  int status() const { return status_; }
  const std::string& type() const { return type_; }  // of the content
  const std::string& retry_after() const { return retry_after_; }
  // What has come of the body since the last call.
  std::string TakeBody() { return std::exchange(body_, {}); }

 private:
  using Text = boost::beast::string_view;
  using Code = boost::beast::error_code;
  void on_request_impl(boost::beast::http::verb, Text, Text, int,
                       Code&) override {}
  void on_response_impl(int code, Text, int, Code&) override { status_ = code; }
  void on_field_impl(boost::beast::http::field name, Text, Text value,
                     Code&) override;
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&,
                         Code&) override {}
  std::size_t on_body_impl(Text body, Code&) override;
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body,
                                 Code& error) override {
    return on_body_impl(body, error);
  }
  void on_finish_impl(Code&) override {}

  int status_ = 0;
  std::string type_, retry_after_, body_;
};

}  // namespace aio::upstream
