#pragma once

// What waits to go down one stream, as records (shm/stream_record.hpp): one run of bytes is with the kernel, the rest is
// gathered behind it. No system call.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/tls/tls_session.hpp"
#include "shm/outcome.hpp"
#include "shm/stream_record.hpp"

namespace tlsmux::engine::streams {

class StreamOutput {
 public:
  // Certificates that would make it too long are left out, from the end of the chain.
  void add_opened(const tls::PeerFacts& facts);
  // In as many records as it takes, as if the parts were one.
  void add_data(std::span<const std::span<const std::byte>> parts);
  void add_data(std::span<const std::byte> bytes) { add_data(std::span(&bytes, 1)); }
  // Only a socket whose process is gone minds.
  void add_probe();
  void add_closed();
  // `lost` or `refused`.
  void add_end(shm::StreamRecordType type, shm::Reason reason, std::string_view words, bool maybe_sent);

  // What the kernel has not taken yet.
  [[nodiscard]] std::size_t bytes() const { return sending_.size() - taken_ + waiting_.size(); }

  // To be given to the kernel next. Stays where it is until taken().
  std::span<const std::byte> next();
  void taken(std::size_t bytes);

 private:
  void add(const void* bytes, std::size_t count);
  void add_header(shm::StreamRecordType type, std::size_t bytes);

  std::vector<std::byte> sending_;
  std::size_t taken_ = 0;  // of it
  std::vector<std::byte> waiting_;
};

}  // namespace tlsmux::engine::streams
