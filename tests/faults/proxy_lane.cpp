#include "tests/faults/proxy_lane.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tlsmux::test {

std::optional<std::int64_t> ProxyLane::due_ns() const {
  if (parts_.empty() || is_blocked_ || passes_until_ == passed_) return std::nullopt;
  return parts_.front().due_ns;
}

bool ProxyLane::read(const WayFacts& facts, std::int64_t now_ns, std::mt19937& random) {
  std::array<char, 4096> bytes{};
  const auto got = ::recv(from_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  const std::int64_t jitter_us = facts.jitter_us > 0 ? static_cast<std::int64_t>(random() % (facts.jitter_us + 1)) : 0;
  auto due_ns = std::max(now_ns + (facts.delay_us + jitter_us) * 1000, last_due_ns_);
  if (facts.bytes_per_s > 0) due_ns += got * 1'000'000'000 / facts.bytes_per_s;
  last_due_ns_ = due_ns;
  parts_.push_back({.due_ns = due_ns, .bytes = std::string(bytes.data(), static_cast<std::size_t>(got))});
  waiting_ += static_cast<std::uint64_t>(got);
  has_ended_ = got == 0;
  return true;
}

bool ProxyLane::write(std::int64_t now_ns, bool hides_ends) {
  is_blocked_ = false;
  while (due_ns() && *due_ns() <= now_ns) {
    auto& bytes = parts_.front().bytes;
    if (bytes.empty()) {
      if (!hides_ends) ::shutdown(to_, SHUT_WR);
      is_over_ = !hides_ends;
      parts_.pop_front();
      continue;
    }
    const auto most = passes_until_ ? *passes_until_ - passed_ : bytes.size();
    const auto sent = ::send(to_, bytes.data(), std::min(bytes.size(), most), MSG_DONTWAIT | MSG_NOSIGNAL);
    is_blocked_ = sent < 0 && (errno == EAGAIN || errno == EINTR);
    if (is_blocked_) break;
    if (sent < 0) return false;
    passed_ += static_cast<std::uint64_t>(sent);
    waiting_ -= static_cast<std::uint64_t>(sent);
    bytes.erase(0, static_cast<std::size_t>(sent));
    if (bytes.empty()) parts_.pop_front();
  }
  return true;
}

void ProxyLane::end() {
  ::shutdown(to_, SHUT_WR);
  parts_.clear();
  waiting_ = 0;
  has_ended_ = is_over_ = true;
  is_blocked_ = false;
}

}  // namespace tlsmux::test
