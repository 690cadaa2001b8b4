#include "bench/host/http.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace tlsmux::bench;

namespace {

const std::string kHead = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("client.bench host waits for a whole request of HTTP and leaves what follows") {
  const auto whole = kHead + "12345";
  for (std::size_t bytes = 2; bytes < whole.size(); ++bytes) {
    CAPTURE(bytes);
    const auto part = whole.substr(0, bytes);
    CHECK(begins_as_http(bytes_of(part)));
    CHECK(http_request_bytes(bytes_of(part)) == 0);
  }
  CHECK(http_request_bytes(bytes_of(whole)) == whole.size());
  CHECK(http_request_bytes(bytes_of(whole + kHead)) == whole.size());
}

TEST_CASE("client.bench host refuses what is no request of its client, and takes no frame for one") {
  for (const auto* text : {"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                           "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                           "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"}) {
    CAPTURE(text);
    CHECK_FALSE(http_request_bytes(bytes_of(text)));
  }
  CHECK_FALSE(http_request_bytes(bytes_of(std::string(5000, 'P'))));
  CHECK_FALSE(begins_as_http(bytes_of(std::string("\x3f\xff", 2))));  // the longest frame
}

TEST_CASE("client.bench host answers with the request behind another first line") {
  auto text = kHead + "12345";
  turn_into_http_answer(std::as_writable_bytes(std::span(text)));
  CHECK(text == "HTTP/1.1 200 OK\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345");
  CHECK(is_http_answer(bytes_of(text)));
}
