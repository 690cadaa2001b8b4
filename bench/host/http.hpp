#pragma once

// As much of HTTP/1.1 as bench/client/unmodified.c speaks: "POST / HTTP/1.1", a Content-Length, no other coding. The answer
// is the request with another first line, which is as long, so it needs no more work than any other message.

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace tlsmux::bench {

inline constexpr std::string_view kHttpRequestLine = "POST / HTTP/1.1\r\n";
inline constexpr std::string_view kHttpStatusLine = "HTTP/1.1 200 OK\r\n";
static_assert(kHttpRequestLine.size() == kHttpStatusLine.size());

// No frame of a message begins so: its length would be too great.
inline bool begins_as_http(std::span<const std::byte> input) {
  return input.size() >= 2 && input[0] == std::byte{'P'} && input[1] == std::byte{'O'};
}

// Of the request that comes first; 0 if it is not whole yet; nothing if it is none of ours.
inline std::optional<std::size_t> http_request_bytes(std::span<const std::byte> input) {
  constexpr std::string_view kLengthName = "\r\nContent-Length: ";
  constexpr std::string_view kHeadEnd = "\r\n\r\n";
  constexpr std::size_t kHeadBytesMax = 4096;
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto head = text.find(kHeadEnd);
  if (head == std::string_view::npos) return text.size() < kHeadBytesMax ? std::optional<std::size_t>(0) : std::nullopt;
  const auto length = text.substr(0, head).find(kLengthName);
  if (!text.starts_with(kHttpRequestLine) || length == std::string_view::npos) return std::nullopt;
  std::size_t body = 0;
  const auto digits = text.substr(length + kLengthName.size());
  if (std::from_chars(digits.data(), digits.data() + digits.size(), body).ec != std::errc{} || body > kHeadBytesMax) {
    return std::nullopt;
  }
  const auto bytes = head + kHeadEnd.size() + body;
  return text.size() < bytes ? 0 : bytes;
}

// No other answer begins so.
inline bool is_http_answer(std::span<const std::byte> frame) { return frame[0] == std::byte{'H'}; }

// Makes the answer out of the request.
inline void turn_into_http_answer(std::span<std::byte> request) {
  std::memcpy(request.data(), kHttpStatusLine.data(), kHttpStatusLine.size());
}

}  // namespace tlsmux::bench
