#pragma once

// What the shards have said to those who opened channels, so that the next one who asks for the like of it need not wait
// for a shard to be woken. A shard's consent depends on the configuration and the size of the client's slots alone: while
// the former is being changed nothing is known, and orders reach a shard in the order in which they were given. So it will
// not refuse what is known here.

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "engine/shard/shard_command.hpp"

namespace tlsmux::engine::control {

class KnownOpenings {
 public:
  struct Wish {
    std::uint32_t group = 0;
    std::string upstream;
    std::uint32_t flags = 0;
    auto operator<=>(const Wish&) const = default;
  };

  void remember(Wish wish, const ChannelOpened& opened) {
    if (!is_changing_ && opened.error == 0) opened_.insert_or_assign(std::move(wish), opened);
  }
  // For a client with slots of that size. Null: a shard is to be asked. The channel's number in it means nothing.
  [[nodiscard]] const ChannelOpened* find(const Wish& wish, std::uint32_t slot_bytes) const {
    const auto found = opened_.find(wish);
    const bool suits = found != opened_.end() && found->second.message_bytes_max <= slot_bytes;
    return suits ? &found->second : nullptr;
  }

  // Before the first shard is ordered to change over to another configuration, and when the last one has.
  void change_begins() {
    is_changing_ = true;
    opened_.clear();
  }
  void change_ends() { is_changing_ = false; }

 private:
  std::map<Wish, ChannelOpened> opened_;
  bool is_changing_ = false;
};

}  // namespace tlsmux::engine::control
