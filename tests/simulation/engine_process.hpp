#pragma once

// One life of the engine: a Shard as it is, with a data loop's turns, the control thread's part of attaching, and all
// of its memory.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "client/attachment.hpp"
#include "engine/control/known_openings.hpp"
#include "engine/shard/shard.hpp"
#include "shm/control_protocol.hpp"
#include "tests/simulation/bells.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/stream_sockets.hpp"
#include "tests/simulation/workers.hpp"

namespace tlsmux::simulation {

// What the control thread has to say to one client.
class ControlListener {
 public:
  virtual ~ControlListener() = default;
  virtual void channel_opened(const shm::OpenChannelReply& reply, shm::UniqueFd wake) = 0;
  virtual void channel_refused(int error) = 0;
  virtual void channel_closed(int error) = 0;
  virtual void detached(const std::string& rule) = 0;
};

struct Attached {
  engine::ClientId id = 0;
  std::shared_ptr<client::Attachment> attachment;
};

shm::UniqueFd make_eventfd();

struct StreamWish {
  std::uint32_t pid = 0;
  std::uint32_t group = 0;
  std::uint32_t upstream = 0;
  std::uint32_t wait_ms = 0;
  std::shared_ptr<StreamPipe> pipe;
};

class EngineProcess {
 public:
  EngineProcess(Context& context, Network& network);

  // Throws EngineKilled.
  void start();
  // Its last moment: nothing but the destructor may be called afterwards.
  void die() {
    context_.present_settings = nullptr;
    network_.die();
    stream_sockets_.die();
  }

  // ---- What clients ask of the control thread. The listener lives until dismiss() or the engine's end.
  // Nothing: there is no room for another client.
  std::optional<Attached> attach(std::uint32_t client, std::uint32_t group, std::uint32_t epoch,
                                 ControlListener& listener);
  void open_channel(engine::ClientId client, const std::string& upstream, std::uint32_t flags = 0);
  void close_channel(engine::ClientId client, std::uint32_t channel);
  void dismiss(engine::ClientId client, bool died);
  void open_stream(const StreamWish& wish);
  void drain(std::uint32_t timeout_ms);
  void drain_upstream(std::uint32_t upstream, std::uint32_t timeout_ms);
  void resume_upstream(std::uint32_t upstream);
  // By command, and not resumed.
  [[nodiscard]] bool is_drained(std::uint32_t upstream) const { return drained_.contains(upstream); }
  // Every drain and every resumption has had its one answer.
  [[nodiscard]] bool has_answered_drains() const { return drains_.empty(); }
  // False: it is gone already, or stays.
  bool remove_upstream(std::uint32_t upstream);
  // It takes what its members may use from them, too. False: it is gone already, or must stay.
  bool remove_group(std::uint32_t group);
  [[nodiscard]] bool is_group_removed(std::uint32_t group) const { return removed_groups_.contains(group); }
  // By name, those that may use the upstream unless they are shut out.
  [[nodiscard]] std::vector<std::string> groups_of(std::uint32_t upstream) const;
  // At some time, some group from some upstream.
  [[nodiscard]] bool has_shut_out() const { return has_shut_out_; }
  [[nodiscard]] bool is_removed(std::uint32_t upstream) const { return removed_.contains(upstream); }
  // The control thread waits until one order is applied before it gives the next.
  [[nodiscard]] bool takes_orders() const;
  // As they were ordered last.
  [[nodiscard]] const config::UpstreamSettings& settings(std::uint32_t upstream) const {
    return ordered_.upstreams[upstream];
  }
  // Both: nothing is done unless it takes orders.
  void refresh(std::uint32_t upstream, const config::UpstreamSettings& settings, engine::ApplyConfig::Kind kind,
               bool replace_sessions);
  // The tables of a group that the context's configuration has at its end; members can attach to it from now on.
  engine::ApplyConfig::Group make_group();
  void order(engine::ApplyConfig order);

  // ---- The data loop.
  // It does not sleep, or has been woken.
  bool wants_turn();
  // Throws EngineKilled.
  void turn();
  // Something that takes time of its own: a worker's job, a wake on its way. False: there is none.
  bool step();
  // Sleeping, with nothing on its way that would wake it or that it sent to wake others.
  bool is_fast_asleep() { return !wants_turn() && !bells_.has_wakes(); }
  [[nodiscard]] std::uint64_t next_due_ns() const { return shard_->next_due_ns(); }
  [[nodiscard]] bool is_stopped() const { return shard_->is_stopped(); }

  // Never used again, from 1 on.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  engine::mux::Multiplexer& multiplexer() { return shard_->multiplexer(); }
  [[nodiscard]] engine::OrphanCounts orphans(engine::Lane lane) const { return shard_->notices().orphans(lane); }
  [[nodiscard]] bool has_clients() const { return !clients_.empty(); }
  // What members and tools can read.
  [[nodiscard]] std::span<const std::byte> group_part(std::size_t group) const {
    return groups_[group].mapping.bytes();
  }
  // Throws Violation unless streams and leases are in order.
  void check_streams();
  // Nothing is left of them.
  bool has_no_streams();
  // The clock has leapt, perhaps beyond what it has for stopping.
  void note_leap() { has_leapt_ = true; }
  [[nodiscard]] bool had_time_to_stop() const { return !has_leapt_; }
  // Stopped in good order. Throws Violation if anything is open still.
  void check_all_given_back() const;
  // Requests that ended in a way, over all upstreams and groups.
  std::array<std::uint64_t, 4> counted();

 private:
  struct GroupMemory {
    shm::UniqueFd object;
    shm::Mapping mapping;
  };
  struct ControlledClient {
    std::uint32_t group = 0;
    ControlListener* listener = nullptr;  // null: dismissed
    shm::UniqueFd wake;                   // of the channel that is being opened
    std::vector<bool> channels;           // by number; in use
    std::uint32_t channel = 0;            // that is being opened or closed
    shm::ClientGeometry geometry;
    std::shared_ptr<shm::Mapping> memory;
    engine::control::KnownOpenings::Wish wish;
    bool has_offended = false;
  };

  template <typename Visit>
  void for_each_leased(Visit visit);
  void set_subscriber(std::uint32_t upstream);
  void note_settings();
  void observe_leases();
  void check_waiting(const engine::mux::Upstream& upstream);
  engine::StatusBoard make_board();
  GroupMemory& make_group_memory(std::size_t group);
  [[nodiscard]] shm::GroupPart format(std::size_t group, std::span<std::byte> memory) const;
  [[nodiscard]] bool is_due() const;
  void take_replies();
  void take(const engine::StreamOpened& reply);
  void take(const engine::ChannelOpened& reply);
  void take(const engine::ChannelClosed& reply);
  void take(const engine::ClientOffended& reply);
  void take(const engine::ClientReleased& reply);
  void take(const engine::Drained& /*reply*/) {}
  void take(const engine::UpstreamDrained& reply);
  void take(const engine::ConfigApplied& reply);
  void take(const engine::NeedTraceNumbers& /*reply*/) {}  // the simulated clients take none

  // Where it matters, in the order in which the memory must outlive its users.
  Context& context_;
  std::uint64_t number_;
  shm::BootId boot_id_{};
  std::vector<GroupMemory> groups_;
  EngineNetwork network_;
  Workers workers_;
  Bells bells_;
  StreamSockets stream_sockets_;
  struct Silence final : engine::mux::Events {
    explicit Silence(Context& shared) : context(shared) {}
    void event(const engine::mux::Event& event) override;
    Context& context;
  } events_;
  std::unique_ptr<engine::Shard> shard_;

  std::vector<engine::ShardCommand> commands_;
  std::map<engine::ClientId, ControlledClient> clients_;
  engine::control::KnownOpenings openings_;
  std::map<std::uint64_t, std::shared_ptr<StreamPipe>> streams_asked_;  // by number
  config::Config ordered_;                                              // by refreshes; what is removed has no name
  std::set<std::uint32_t> removed_;                                     // upstreams
  std::set<std::uint32_t> removed_groups_;
  std::set<std::uint32_t> drained_;                   // upstreams
  std::map<engine::ClientId, std::uint32_t> drains_;  // orders that have no answer yet: by asker, of which upstream
  engine::ClientId last_asker_ = 0;
  bool has_shut_out_ = false;                      // a group, from an upstream
  std::vector<config::StreamReuse> reuse_before_;  // this turn, by upstream
  int orders_ = 0;                                 // not carried out yet
  std::vector<std::uint32_t> clients_of_group_;
  engine::ClientId last_id_ = 0;
  bool draining_ = false;
  bool has_leapt_ = false;
  bool busy_ = true;
  bool asleep_ = false;
};

}  // namespace tlsmux::simulation
