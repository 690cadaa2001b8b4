#pragma once

// One data loop's work, without the loop: clients in, multiplexer, outcomes out. Does no system call and reads no
// clock, so that the simulator runs it as it is. One thread.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/shard/bells.hpp"
#include "engine/shard/client_table.hpp"
#include "engine/shard/intake.hpp"
#include "engine/shard/notices.hpp"
#include "engine/shard/outlet.hpp"
#include "engine/shard/shard_command.hpp"
#include "engine/shard/status_board.hpp"
#include "engine/shard/upstream_drains.hpp"
#include "engine/streams/callers.hpp"
#include "engine/streams/stream_sockets.hpp"
#include "engine/streams/streams.hpp"

namespace tlsmux::engine {

struct ShardSeams {
  mux::Network& network;
  mux::Workers& workers;
  mux::Events& events;
  Bells& bells;
  streams::StreamSockets& stream_sockets;
};

class Shard {
 public:
  // The seams outlive it. One TLS client for each upstream, in their order; null for those of other shards, of which this
  // one, number `shard`, keeps no more than their places. See shard_of.hpp. `source_ports` are those of tcp.source_ports, for
  // each upstream; of those behind its end there are none.
  Shard(const config::Config& config, ShardSeams seams, std::vector<std::unique_ptr<tls::TlsClient>> tls_clients,
        StatusBoard board, std::uint64_t seed, std::uint32_t shard = 0,
        const std::vector<std::vector<std::uint16_t>>& source_ports = {});

  // Where news of connections, handshakes and names go.
  mux::Multiplexer& multiplexer() { return multiplexer_; }

  // Where news of streams' sockets go.
  streams::Streams& streams() { return streams_; }

  [[nodiscard]] const Notices& notices() const { return notices_; }

  // The time of all that follows.
  void set_time(std::uint64_t now_ns);
  void start();
  void execute(ShardCommand command);
  std::vector<ShardReply> take_replies() { return std::exchange(replies_, {}); }

  // From the bells.
  void rung(std::uint32_t client_index);
  void unwatched(std::uint32_t client_index);
  void woken(std::uint32_t channel_ref);

  // Takes requests in, fires timers, seals and sends, publishes outcomes. True: there was something to do, so look
  // again before sleeping.
  bool work();

  // True when a client that does not ring has published something. For a loop that looks again before it sleeps.
  [[nodiscard]] bool has_news() const;

  [[nodiscard]] config::IdleStrategy idle_strategy() const { return config_.engine.idle_strategy; }

  // Asks all clients to ring. False: one has published meanwhile, so work() first.
  bool prepare_sleep();

  // When work() is next needed by itself.
  [[nodiscard]] std::uint64_t next_due_ns() const;

  // After Drain: everything is said and done.
  [[nodiscard]] bool is_stopped() const { return stage_ == Stage::stopped; }

 private:
  enum class Stage : std::uint8_t { running, draining, closing, leaving, stopped };

  void run(AdmitClient&& command);
  void run(OpenChannel&& command);
  void run(CloseChannel&& command);
  void run(DismissClient&& command);
  void run(Drain&& command);
  void run(DrainUpstream&& command);
  void run(ResumeUpstream&& command);
  void run(ApplyConfig&& command);
  void run(GrantTraceNumbers&& command);
  void run(OpenStream&& command);

  void apply(const std::shared_ptr<const config::Config>& config, ApplyConfig::Upstream& changed);
  void heat(Client& client);
  bool take_requests();
  void cool(std::size_t hot_index);
  void handle_offences();
  static void count_open(Client& client);  // once, before it is served no more
  void stop_serving(Client& client);
  void part_with(Client& client);
  void inherit_from(Client& client);
  void leave(Client& client);
  void end_partings();
  void take_all_of(Client& client);
  void serve_trace_numbers();
  void release_if_done(Client& client);
  void publish();
  void ring(std::uint32_t channel_ref);
  void drain_further();
  void end_streams_by(const ApplyConfig::Upstream& changed, const std::vector<bool>& groups);
  std::optional<std::uint32_t> group_of_stream(const OpenStream& command, std::uint32_t upstream) const;
  ChannelOpened open_channel(Client& client, OpenChannel& command);

  std::uint32_t number_;
  config::Config config_;  // changes where it is; the others refer to it
  Bells* bells_;
  ClientTable clients_;
  OrphanStore orphans_;
  Outlet outlet_;
  Notices notices_;
  streams::Streams streams_;
  streams::Callers callers_;
  mux::Multiplexer multiplexer_;
  UpstreamDrains upstream_drains_;
  TraceNumbers trace_numbers_;
  Intake intake_;
  StatusBoard board_;
  std::vector<Client*> hot_;
  std::vector<std::uint32_t> leaving_;  // indexes of clients that may be done
  struct Parting {
    ClientId client = 0;
    std::uint64_t ends_ns = 0;
  };
  std::deque<Parting> parting_;    // in the order of their ends
  std::uint64_t last_serial_ = 0;  // of channels that were opened
  std::vector<ShardReply> replies_;
  std::uint64_t now_ns_ = 0;
  Stage stage_ = Stage::running;
  std::uint64_t stage_ends_ns_ = 0;
  std::uint32_t requests_left_ = 0;  // by the drain's time-out
  std::uint64_t board_due_ns_ = 0;   // 0: no change waits to be shown
};

}  // namespace tlsmux::engine
