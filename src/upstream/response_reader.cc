// SPDX-License-Identifier: Apache-2.0
#include "upstream/response_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

namespace aio::upstream {

namespace http = boost::beast::http;

ResponseReader::ResponseReader(size_t header_bytes_max) {
  header_limit(static_cast<std::uint32_t>(header_bytes_max));
  body_limit(boost::none);  // whoever takes the body counts it
  eager(true);
}

Result<size_t> ResponseReader::Feed(std::string_view bytes) {
  Code error;
  size_t taken = 0;
  while (taken < bytes.size() && !is_done()) {
    const size_t more = put(
        boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), error);
    taken += more;
    if (error == http::error::need_more) break;
    if (error) {
      return Error{ErrorCode::kCorrupt,
                   "the upstream does not speak HTTP: " + error.message(), ""};
    }
    if (more == 0) break;
  }
  return taken;
}

Result<void> ResponseReader::End() {
  Code error;
  if (got_some()) put_eof(error);
  if (got_some() && !error && is_done()) return {};
  return Error{ErrorCode::kUnavailable,
               "the upstream cut its answer: " +
                   (error ? error.message() : "it closed the connection"),
               ""};
}

void ResponseReader::on_field_impl(http::field name, Text, Text value, Code&) {
  if (name == http::field::content_type) {
    type_.assign(value.data(), value.size());
  } else if (name == http::field::retry_after) {
    retry_after_.assign(value.data(), value.size());
  }
}

std::size_t ResponseReader::on_body_impl(Text body, Code&) {
  body_.append(body.data(), body.size());
  return body.size();
}

}  // namespace aio::upstream
