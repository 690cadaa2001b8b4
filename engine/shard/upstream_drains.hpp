#pragma once

// Orders to drain one upstream, each until it is carried out or its time is over. No system call, no clock. One thread.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/mux/multiplexer.hpp"
#include "engine/shard/shard_command.hpp"

namespace tlsmux::engine {

class UpstreamDrains {
 public:
  // The multiplexer outlives it.
  explicit UpstreamDrains(mux::Multiplexer& multiplexer) : multiplexer_(&multiplexer) {}

  // Each leads to one UpstreamDrained among the replies, now or later.
  void drain(const DrainUpstream& order, std::uint64_t now_ns, std::vector<ShardReply>& replies);
  void resume(const ResumeUpstream& order, std::vector<ShardReply>& replies);

  // Ends what is left of upstreams whose time is over. Before the multiplexer's tick(), so that what it costs is counted.
  void end_overdue(std::uint64_t now_ns);
  // Orders that are carried out. After its tick() and flush(), since what these end may be the last of an upstream.
  void answer(std::uint64_t now_ns, std::vector<ShardReply>& replies);
  // When these two are next needed by themselves; 0: not.
  [[nodiscard]] std::uint64_t next_due_ns() const;

 private:
  struct Order {
    ClientId asker = 0;
    std::uint32_t upstream = 0;
    std::uint64_t ends_ns = 0;
    bool is_ending = false;           // its time was over; what is left is being closed, until ends_ns
    std::uint32_t requests_left = 0;  // then
  };

  [[nodiscard]] std::uint32_t find(const std::string& name, ClientId asker, std::vector<ShardReply>& replies) const;
  [[nodiscard]] bool is_done(const Order& order, std::uint64_t now_ns) const;

  mux::Multiplexer* multiplexer_;
  std::vector<Order> orders_;
};

}  // namespace tlsmux::engine
