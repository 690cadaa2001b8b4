#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine::tls {

// Sealed bytes of one session that the kernel has not accepted yet, in the order of the wire. A plain value over
// memory that it does not own and that never moves, so that a send in flight may point into it while more is appended.
// Positions count the session's stream from its first sealed byte.
class WireBuffer {
 public:
  WireBuffer() = default;
  explicit WireBuffer(std::span<std::byte> memory) : memory_(memory) {}

  // Bytes that can be appended now.
  [[nodiscard]] std::size_t room() const { return memory_.size() - end_; }
  [[nodiscard]] std::span<const std::byte> pending() const { return memory_.subspan(begin_, end_ - begin_); }
  [[nodiscard]] bool empty() const { return begin_ == end_; }

  // Stream position of the next byte to be appended, and of the first byte the kernel has not accepted.
  [[nodiscard]] std::uint64_t sealed_position() const { return accepted_ + (end_ - begin_); }
  [[nodiscard]] std::uint64_t accepted_position() const { return accepted_; }

  // Where the next bytes go; commit what was written there. Requires count <= room().
  [[nodiscard]] std::span<std::byte> free_space() { return memory_.subspan(end_); }
  void commit(std::size_t count) {
    TMX_ASSERT(count <= room());
    end_ += count;
  }
  void append(std::span<const std::byte> bytes) {
    TMX_ASSERT(bytes.size() <= room());
    shm::copy_bytes(free_space(), bytes);
    commit(bytes.size());
  }

  // The kernel has accepted so many. The memory starts over only when all is accepted: nothing in flight moves.
  void accept(std::size_t count) {
    TMX_ASSERT(count <= end_ - begin_);
    begin_ += count;
    accepted_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

 private:
  std::span<std::byte> memory_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t accepted_ = 0;
};

}  // namespace tlsmux::engine::tls
