// SPDX-License-Identifier: Apache-2.0
#include "upstream/endpoint.h"

#include <gtest/gtest.h>

namespace aio::upstream {
namespace {

TEST(EndpointTest, TakesAUrlApart) {
  const auto endpoint = ParseEndpoint("http://npu:8000/v1");
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->host, "npu");
  EXPECT_EQ(endpoint->port, "8000");
  EXPECT_EQ(endpoint->authority, "npu:8000");
  EXPECT_EQ(endpoint->path, "/v1");
}

TEST(EndpointTest, AssumesPort80AndDropsATrailingSlash) {
  const auto endpoint = ParseEndpoint("http://example.org/llm/v1/");
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->port, "80");
  EXPECT_EQ(endpoint->authority, "example.org");
  EXPECT_EQ(endpoint->path, "/llm/v1");
}

TEST(EndpointTest, GivesAnIpv6AddressWithoutItsBrackets) {
  const auto endpoint = ParseEndpoint("http://[::1]:9000");
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->host, "::1");
  EXPECT_EQ(endpoint->authority, "[::1]:9000");
  EXPECT_EQ(endpoint->path, "");
}

TEST(EndpointTest, KnowsTlsAndAddressesFromNames) {
  const auto tls = ParseEndpoint("https://api.example.org/v1");
  ASSERT_TRUE(tls);
  EXPECT_TRUE(tls->tls);
  EXPECT_EQ(tls->port, "443");
  EXPECT_FALSE(tls->literal);
  const auto plain = ParseEndpoint("http://10.0.0.1:8000");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->tls);
  EXPECT_TRUE(plain->literal);
  EXPECT_TRUE(ParseEndpoint("http://[::1]:9000")->literal);
}

TEST(EndpointTest, RefusesWhatIsNoSuchUrl) {
  for (const char* url :
       {"", "npu:8000", "/v1", "ftp://npu/v1", "http://", "http://user@npu/v1",
        "http://npu/v1?key=1", "http://npu/v1#x", "http://npu:0/v1",
        "http://npu:99999/v1", "http://a b/v1", "http://npu/\r\nX: y"}) {
    const auto endpoint = ParseEndpoint(url);
    ASSERT_FALSE(endpoint) << url;
    EXPECT_EQ(endpoint.error().code, ErrorCode::kInvalidArgument) << url;
    EXPECT_EQ(endpoint.error().param, "upstream");
  }
}

}  // namespace
}  // namespace aio::upstream
