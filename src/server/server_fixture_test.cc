// SPDX-License-Identifier: Apache-2.0
#include "server/server_fixture.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <future>

namespace aio::server {

namespace net = boost::asio;
using boost::system::error_code;

namespace {

// Takes the first candidate that fits, with a reason nobody should trust.
class First : public policy::Policy {
 public:
  std::string_view name() const override { return "first"; }
  policy::Decision Decide(const policy::Input& input) const override {
    policy::Decision decision;
    decision.reason = "first\r\nset-cookie: evil";
    for (size_t i = 0; i < input.candidates.size(); ++i) {
      const bool fits = input.candidates[i].unfit.empty();
      if (fits && decision.candidate < 0) {
        decision.candidate = static_cast<int>(i);
      }
      decision.why.push_back(fits ? "fits" : input.candidates[i].unfit);
    }
    return decision;
  }
};

}  // namespace

Client::Client(uint16_t port, int receive_bytes) : socket_(io_) {
  const net::ip::tcp::endpoint to(net::ip::address_v4::loopback(), port);
  error_code error;
  socket_.open(to.protocol(), error);
  if (receive_bytes > 0) {
    socket_.set_option(net::socket_base::receive_buffer_size(receive_bytes),
                       error);
  }
  // A server that says nothing fails the test instead of hanging it.
  const timeval limit{30, 0};
  setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit,
             sizeof(limit));
  socket_.connect(to, error);
  EXPECT_FALSE(error) << error.message();
}

void Client::Send(std::string_view bytes) {
  error_code ignored;  // the server may have hung up, as some tests want
  net::write(socket_, net::buffer(bytes.data(), bytes.size()), ignored);
}

bool Client::More() {
  char buffer[4096];
  error_code error;
  const size_t size = socket_.read_some(net::buffer(buffer), error);
  data_.append(buffer, size);
  return !error;
}

std::string Client::Line() {
  size_t end = data_.find("\r\n");
  while (end == std::string::npos && More()) end = data_.find("\r\n");
  if (end == std::string::npos) return "";
  const std::string line = data_.substr(0, end);
  data_.erase(0, end + 2);
  return line;
}

std::string Client::Take(size_t size) {
  while (data_.size() < size && More()) {
  }
  const std::string taken = data_.substr(0, size);
  data_.erase(0, size);
  return taken;
}

std::string Client::ReadChunks() {
  std::string body;
  while (true) {
    const std::string size = Line();
    if (size.empty()) return body + "<cut>";
    const std::string chunk = Take(std::strtoul(size.c_str(), nullptr, 16));
    EXPECT_EQ(Line(), "");
    if (chunk.empty()) return body;
    body += chunk;
  }
}

Response Client::Read(bool head) {
  Response response;
  const std::string status = Line();
  if (!status.starts_with("HTTP/1.1 ")) return response;
  response.status = std::atoi(status.c_str() + 9);
  for (std::string line = Line(); !line.empty(); line = Line()) {
    const size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    response.fields[name] =
        colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  if (head || response.status == 100) return response;
  if (response.fields.contains("content-length")) {
    response.body = Take(
        std::strtoul(response.fields["content-length"].c_str(), nullptr, 10));
  } else if (response.fields.contains("transfer-encoding")) {
    response.body = ReadChunks();
  } else {
    while (More()) {
    }
    response.body = std::exchange(data_, "");
  }
  return response;
}

Response Client::Ask(std::string_view method, const std::string& path,
                     const std::string& body, const std::string& fields) {
  std::string text =
      std::string(method) + " " + path + " HTTP/1.1\r\nHost: test\r\n" + fields;
  if (!body.empty()) {
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  Send(text + "\r\n" + body);
  return Read(method == "HEAD");
}

bool Client::ReadUntil(const std::string& text) {
  while (data_.find(text) == std::string::npos) {
    if (!More()) return false;
  }
  return true;
}

bool Client::Ended() {
  while (More()) {
  }
  error_code error;
  char byte;
  socket_.read_some(net::buffer(&byte, 1), error);
  return error == net::error::eof || error == net::error::connection_reset;
}

void Client::Close() {
  error_code ignored;
  socket_.close(ignored);
}

std::string Post(const std::string& path, const std::string& body,
                 const std::string& fields) {
  return "POST " + path + " HTTP/1.1\r\nHost: test\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string ChatBody(const std::string& text, const std::string& fields) {
  return R"({"model":"auto","messages":[{"role":"user","content":")" + text +
         "\"}]" + (fields.empty() ? "" : "," + fields) + "}";
}

ServerTest::ServerTest() {
  SetLogLevel(LogLevel::kOff);
  options_.listen = "127.0.0.1:0";
  options_.drain_timeout = 20s;
}

ServerTest::~ServerTest() { Stop(); }

void ServerTest::Make() {
  executor_.emplace(io_.get_executor());
  orchestrator::Parts parts;
  parts.executor = &*executor_;
  parts.metrics = &metrics_;
  parts.variants = {
      {"echo", "", std::make_shared<core::EchoBackend>(&*executor_), 0, 1, 5},
      {"hold", "", hold_, 0, 2, 7}};
  parts.policy = std::make_shared<First>();
  parts.text_probe = text_probe_;
  orchestrator_.emplace(std::move(parts), orchestrator_options_);
  parts_.io = io_.get_executor();
  parts_.orchestrator = &*orchestrator_;
  parts_.metrics = &metrics_;
}

void ServerTest::Start() {
  Make();
  server_.emplace(parts_, options_);
  const auto started = server_->Start();
  ASSERT_TRUE(started) << started.error().message;
  thread_ = std::thread([this] {
    const auto work = net::make_work_guard(io_);
    io_.run();
  });
}

void ServerTest::Stop() {
  if (!thread_.joinable()) return;
  server_.reset();
  net::post(io_, [this] { io_.stop(); });
  thread_.join();
  // Coroutines still hold the connections; they go before the orchestrator.
  orchestrator_.reset();
}

double ServerTest::Metric(const std::string& series) {
  const std::string text = "\n" + Connect().Ask("GET", "/metrics").body;
  const size_t at = text.find("\n" + series + " ");
  if (at == std::string::npos) return -1;
  return std::strtod(text.c_str() + at + series.size() + 2, nullptr);
}

bool ServerTest::Becomes(const std::string& series, double value) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < end) {
    if (Metric(series) == value) return true;
  }
  return false;
}

}  // namespace aio::server
