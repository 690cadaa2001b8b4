#include "tests/simulation/http_text.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <span>
#include <string_view>

namespace tlsmux::simulation {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kClose = "Connection: close\r\n";

std::string make_body(Random& random, std::string_view about) {
  std::string body(about);
  body.resize(random.between(body.size(), body.size() + 200), '.');
  return body;
}

std::string hexadecimal(std::size_t value) {
  std::array<char, 16> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return {digits.data(), result.ptr};
}

// The rest of the head, and the body.
std::string finish_message(Random& random, const std::string& body) {
  if (random.below(2) == 0) return "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  std::string text = "Transfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size();) {
    const auto length = random.between(1, body.size() - at);
    text += hexadecimal(length) + "\r\n" + body.substr(at, length) + "\r\n";
    at += length;
  }
  return text + "0\r\n\r\n";
}

// Where a chunked body ends; 0: not yet. `is_broken`: it is none.
std::size_t end_of_chunks(const std::string& text, std::size_t at, bool& is_broken) {
  while (true) {
    const auto line_end = text.find("\r\n", at);
    if (line_end == std::string::npos) {
      is_broken = text.size() - at > 16;
      return 0;
    }
    char* end = nullptr;
    const auto length = std::strtoul(text.c_str() + at, &end, 16);
    is_broken = end != text.c_str() + line_end || line_end == at || length > 100'000;
    if (is_broken) return 0;
    at = line_end + 2 + length + 2;
    if (at > text.size()) return 0;
    is_broken = text.compare(at - 2, 2, "\r\n") != 0;
    if (is_broken) return 0;
    if (length == 0) return at;
  }
}

bool starts_well(const std::string& text) {
  for (const std::string_view method : {"GET /", "HEAD /", "POST /"}) {
    if (method.starts_with(std::string_view(text).substr(0, method.size()))) return true;
  }
  return false;
}

}  // namespace

std::vector<std::byte> make_http_request(Random& random, std::uint64_t number, bool may_close) {
  const auto target = "/" + std::to_string(number) + " HTTP/1.1\r\nHost: host.example\r\n";
  const std::string close(may_close && random.below(8) == 0 ? kClose : "");
  std::string text;
  switch (random.below(4)) {
    case 0: text = "GET " + target + close + "\r\n"; break;
    case 1: text = "HEAD " + target + close + "\r\n"; break;
    default: text = "POST " + target + close + finish_message(random, make_body(random, std::to_string(number))); break;
  }
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::optional<HttpRequest> read_http_request(const std::string& text) {
  const auto head_end = text.find(kHeadEnd);
  if (head_end == std::string::npos || !starts_well(text)) return std::nullopt;
  HttpRequest request;
  request.head_bytes = head_end + kHeadEnd.size();
  const std::string head = text.substr(0, request.head_bytes);
  const auto target = head.find(' ') + 1;
  request.method = head.substr(0, target - 1);
  request.target = head.substr(target, head.find(' ', target) - target);
  request.closes = head.contains(kClose);
  constexpr std::string_view kLength = "Content-Length: ";
  if (const auto length = head.find(kLength); length != std::string::npos) {
    const auto end = request.head_bytes + std::strtoul(head.c_str() + length + kLength.size(), nullptr, 10);
    if (text.size() >= end) request.bytes = end;
  } else if (head.contains("chunked")) {
    bool is_broken = false;
    request.bytes = end_of_chunks(text, request.head_bytes, is_broken);
  } else {
    request.bytes = request.head_bytes;
  }
  return request;
}

bool is_no_http_request(const std::string& text) {
  if (!text.empty() && !starts_well(text)) return true;
  const auto head_end = text.find(kHeadEnd);
  if (head_end == std::string::npos) return text.size() > 1000;
  bool is_broken = false;
  if (text.substr(0, head_end).contains("chunked")) end_of_chunks(text, head_end + kHeadEnd.size(), is_broken);
  return is_broken;
}

HttpResponse make_http_response(Random& random, const HttpRequest& request, bool may_close) {
  HttpResponse response;
  response.closes = request.closes || (may_close && random.below(24) == 0);
  if (random.below(8) == 0) response.text = "HTTP/1.1 100 Continue\r\n\r\n";
  const bool is_empty = random.below(8) == 0;
  response.text += is_empty ? "HTTP/1.1 204 No Content\r\n" : "HTTP/1.1 200 OK\r\n";
  if (response.closes) response.text += kClose;
  if (random.below(8) == 0) response.text += "Keep-Alive: timeout=1\r\n";
  if (is_empty) {
    response.text += "\r\n";
  } else if (request.method == "HEAD") {
    response.text += "Content-Length: 12\r\n\r\n";
  } else {
    response.text += finish_message(random, make_body(random, request.target));
  }
  return response;
}

}  // namespace tlsmux::simulation
