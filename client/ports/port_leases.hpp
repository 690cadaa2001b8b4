#pragma once

// The ports that the engine has offered this process in advance: see shm/port_lease.hpp. Any thread, behind a mutex of
// their own, which is held for some nanoseconds and never across a system call.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "client/attachment.hpp"
#include "ports/protocol.hpp"

namespace tlsmux::client {

class PortLeases {
 public:
  struct Taken {
    std::uint16_t port = 0;
    bool share_port = false;    // a holder has it too
    bool wants_refill = false;  // half of what was offered is gone: tell the engine, once
    bool is_late = false;       // there is no trust any more: it is good only if `epoch` still is
    std::uint32_t epoch = 0;    // of the attachment
  };

  // Before this time the engine was found alive and this process attached to it.
  void trust(const std::shared_ptr<Attachment>& attachment, std::int64_t found_alive_ns);
  void distrust();
  // False: somebody has to look before any port is taken.
  [[nodiscard]] bool has_attachment();

  // Nothing: none is there to be taken.
  std::optional<Taken> take(ports::Protocol protocol);
  // The engine was not told after all.
  void refill_failed(ports::Protocol protocol);

 private:
  struct Refill {
    std::uint32_t takes_to_count = 0;    // until the words have to be counted again
    std::uint32_t taken_when_asked = 0;  // 0: none is on the way
  };

  static bool must_refill(Refill& refill, std::span<std::atomic<std::uint64_t>> words);

  std::mutex mutex_;  // guards what follows
  std::shared_ptr<Attachment> attachment_;
  std::int64_t trusted_until_ns_ = 0;
  bool has_holders_ = false;
  std::array<Refill, 2> refills_{};  // by protocol
};

}  // namespace tlsmux::client
