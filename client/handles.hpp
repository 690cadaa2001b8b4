#pragma once

// What stands behind the opaque handles of the C ABI.

#include <cstdint>
#include <memory>

#include "client/channel.hpp"
#include "client/client.hpp"

struct tmx_client {
  std::shared_ptr<tlsmux::client::Client> client;
};

struct tmx_channel {
  std::unique_ptr<tlsmux::client::Channel> channel;
};

namespace tlsmux::client {

// {epoch and slot, generation}; all zero names nothing.
inline void store_handle(std::uint64_t (&to)[2], const SlotHandle& handle) {
  to[0] = std::uint64_t{handle.epoch} << 32 | handle.use.slot;
  to[1] = handle.use.generation;
}

inline SlotHandle load_handle(const std::uint64_t (&from)[2]) {
  return {.epoch = static_cast<std::uint32_t>(from[0] >> 32),
          .use = {.slot = static_cast<std::uint32_t>(from[0]), .generation = from[1]}};
}

}  // namespace tlsmux::client
