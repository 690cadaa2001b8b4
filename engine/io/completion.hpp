#pragma once

// What an io_uring entry is about, as it comes back with its completion.

#include <cstdint>

namespace tlsmux::engine::io {

enum class Kind : std::uint8_t {
  install,
  connect,
  receive,
  send,
  cancel,
  hold,
  remove,
  watch,
  unwatch,
  wake,
  stream_receive,
  stream_send,
  stream_hang_up,
  stream_cancel,
  stream_close,
};

constexpr bool is_stream(Kind kind) { return kind >= Kind::stream_receive; }

// 8 bits kind, 24 bits index, 32 bits generation.
constexpr std::uint64_t user_data(Kind kind, std::uint32_t index, std::uint32_t generation = 0) {
  return std::uint64_t{generation} << 32 | std::uint64_t{index} << 8 | static_cast<std::uint64_t>(kind);
}

struct Completion {
  Kind kind{};
  std::uint32_t index = 0;
  std::int32_t result = 0;
  std::uint32_t flags = 0;
};

}  // namespace tlsmux::engine::io
