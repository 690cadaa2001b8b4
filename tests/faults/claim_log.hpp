#pragma once

// What processes say about the ports they hold, in memory that they share and that their deaths leave as it is; and
// whether two of them ever held the same.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ports/protocol.hpp"

namespace tlsmux::test {

class ClaimLog {
 public:
  // Throws what makes the test fail.
  ClaimLog();
  ~ClaimLog();
  ClaimLog(const ClaimLog&) = delete;
  ClaimLog& operator=(const ClaimLog&) = delete;

  // Each is called by the process itself, at a moment that makes no false alarm: after the bind has come back, before the
  // socket is closed, and, by the test, before the last process that has its sockets is killed.
  void bound(std::uint32_t holder, ports::Port port) { add(What::bound, holder, port); }
  void lets_go(std::uint32_t holder, ports::Port port) { add(What::lets_go, holder, port); }
  void is_about_to_end(std::uint32_t holder) { add(What::ends, holder, {}); }
  // An errno that nobody should have seen.
  void failed(std::uint32_t holder, int error) {
    add(What::failed, holder, {.number = static_cast<std::uint16_t>(error)});
  }

  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::size_t binds() const;
  // In words, each contradiction and failure.
  [[nodiscard]] std::vector<std::string> contradictions() const;

 private:
  enum class What : std::uint32_t { nothing, bound, lets_go, ends, failed };
  struct Entry {
    std::atomic<What> what;  // nothing: its writer died before it was done
    std::uint32_t holder;
    ports::Port port;
  };
  struct Memory;
  void add(What what, std::uint32_t holder, ports::Port port);

  Memory* memory_ = nullptr;
};

}  // namespace tlsmux::test
