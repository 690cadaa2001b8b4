#pragma once

// Brings what no request waits for to who has asked for it: late answers, what hosts send unasked, outcomes of requests
// whose process is dead. What nobody has asked for is counted and dropped; orphans wait in their store.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/shard/client_table.hpp"
#include "engine/shard/orphan_store.hpp"
#include "engine/shard/outlet.hpp"
#include "engine/shard/subscriptions.hpp"

namespace tlsmux::engine {

struct NoticeCounts {
  std::uint64_t late_dropped = 0;  // of a lane
  std::uint64_t unsolicited_dropped = 0;
};

class Notices final : public mux::Notices {
 public:
  // All outlive it.
  Notices(const config::Config& config, ClientTable& clients, Outlet& outlet, OrphanStore& orphans, mux::Events& events)
      : config_(&config), clients_(&clients), outlet_(&outlet), orphans_(&orphans), events_(&events) {}

  void late(const mux::Caller& caller, std::uint32_t upstream, std::uint32_t group,
            std::span<const std::byte> message) override;
  void unsolicited(std::uint32_t upstream, std::uint64_t notice, std::span<const std::byte> message) override;

  // ---- Channels with flags.
  void opened(const Client& client, std::uint32_t channel);
  // Both slots of the pair are the engine's from here on.
  void lend(Client& client, std::uint32_t channel, const LentPair& pair);
  // The slot bears the next thing: whatever notice lay in it has been dealt with.
  void slot_used(Channel& channel, std::uint32_t slot);
  // The channel is about to close, or its client is gone: its notices that were not dealt with go to others.
  void closed(const Client& client, std::uint32_t channel);
  // True when the notice went to this client, who alone may reply to it.
  [[nodiscard]] bool was_given(std::uint32_t upstream, std::uint64_t notice, ClientId client) const;

  // ---- A client that is proven dead, before anything of it is given up: keeps what nobody has seen.
  void keep_orphans(Client& client, std::uint32_t channel, mux::Multiplexer& multiplexer);

  // The configuration has changed where it is; groups may have been added.
  void apply_settings() { orphans_->apply_settings(); }
  // Before the configuration changes: drops the orphans of this group, and says so.
  void remove_group(std::uint32_t group);

  void set_time(std::uint64_t now_ns) { orphans_->set_time(now_ns); }
  // Once in each turn: hands out what has come to wait, drops what is too old, says what was dropped.
  void work();
  [[nodiscard]] std::uint64_t next_due_ns() const { return orphans_->next_due_ns(); }

  // ---- For status.
  [[nodiscard]] NoticeCounts counts(Lane lane) const;
  [[nodiscard]] OrphanCounts orphans(Lane lane) const { return orphans_->counts(lane); }
  [[nodiscard]] std::uint32_t subscribers(Lane lane) const { return subscriptions_.count(lane); }
  bool take_changed(Lane lane) {
    const bool changed = changed_.erase(lane) > 0;
    return orphans_->take_changed(lane) || changed;
  }
  // The group whose subscribers get what this upstream's host sends unasked. None: it was removed.
  [[nodiscard]] std::optional<std::uint32_t> subscriber_group(std::uint32_t upstream) const;

 private:
  struct Given {
    std::uint64_t notice = 0;
    ClientId client = 0;
  };

  void serve(Subscriber& subscriber);
  bool serve_one(Subscriber& subscriber);
  void deliver_late(Subscriber& subscriber, std::uint64_t tag, std::span<const std::byte> message);
  void deliver_unsolicited(Subscriber& subscriber, std::uint64_t notice, std::span<const std::byte> message);
  void deliver_orphan(Subscriber& subscriber, OrphanId id);
  LentPair take_pair(Subscriber& subscriber);
  void share_out_late(Lane lane, std::uint64_t tag, std::span<const std::byte> message);
  void forsake(Lane lane);
  void keep_unseen(const Client& client, std::uint32_t number, mux::Multiplexer& multiplexer);
  void keep_open(const Client& client, Channel& channel, mux::Multiplexer& multiplexer);
  void drop_late(Lane lane, std::uint64_t count = 1);
  void drop_unsolicited(Lane lane, std::uint64_t count = 1);
  void tell_drops();

  const config::Config* config_;
  ClientTable* clients_;
  Outlet* outlet_;
  OrphanStore* orphans_;
  mux::Events* events_;
  Subscriptions subscriptions_;
  std::map<Lane, NoticeCounts> counts_;
  std::set<Lane> changed_;
  std::vector<std::vector<Given>> given_;  // by upstream, then by notice modulo its size
};

}  // namespace tlsmux::engine
