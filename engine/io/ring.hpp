#pragma once

// An io_uring and what is registered with it at the start.

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "shm/system/system_error.hpp"

namespace tlsmux::engine::io {

// Anonymous memory, whole pages, unmapped with the object.
class Pages {
 public:
  Pages() = default;
  static std::expected<Pages, shm::SystemError> allocate(std::size_t bytes);
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// Destroying it ends all that is under way.
class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  // One issuer, completions run when that thread asks for them. It takes registrations but no entries until enable().
  std::expected<void, shm::SystemError> start(std::uint32_t entries, std::uint32_t sockets);
  // By the thread that will use it. From now on no more registrations, and only the operations of the io loop: the
  // filters of system calls do not see what a ring does.
  std::expected<void, shm::SystemError> enable();

  io_uring* get() { return &ring_; }
  // Makes room by submitting when the queue is full.
  io_uring_sqe* entry();
  // Entries to submit, completions, or work of the kernel's that would lead to some. Not a system call.
  [[nodiscard]] bool has_news() const;

 private:
  io_uring ring_{};
  bool started_ = false;
};

// Buffers that the kernel fills as bytes arrive, whichever socket they are for.
class ReceiveBuffers {
 public:
  static constexpr std::uint16_t kGroup = 0;

  std::expected<void, shm::SystemError> start(Ring& ring, std::uint32_t count, std::uint32_t bytes_each);

  [[nodiscard]] std::span<std::byte> filled(std::uint16_t buffer, std::size_t bytes) const;
  // The kernel may fill it again.
  void give_back(std::uint16_t buffer);

 private:
  Pages ring_memory_;
  Pages memory_;
  std::uint32_t count_ = 0;
  std::uint32_t bytes_each_ = 0;

  [[nodiscard]] io_uring_buf_ring* buffer_ring() const {
    return reinterpret_cast<io_uring_buf_ring*>(ring_memory_.bytes().data());
  }
};

// Send memory of all sessions, one range each; registered when the kernel allows it.
class SendArena {
 public:
  std::expected<void, shm::SystemError> start(Ring& ring, const std::vector<std::size_t>& bytes_each);

  [[nodiscard]] std::span<std::byte> of(std::uint32_t session) const { return ranges_[session]; }
  [[nodiscard]] bool is_registered() const { return registered_; }

 private:
  Pages memory_;
  std::vector<std::span<std::byte>> ranges_;
  bool registered_ = false;
};

}  // namespace tlsmux::engine::io
