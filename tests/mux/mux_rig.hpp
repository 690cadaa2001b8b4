#pragma once

// A Multiplexer in a world that a test moves by hand, with PlainTls hosts on the other side.

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/multiplexer.hpp"
#include "tests/mux/fake_seams.hpp"
#include "tests/support/plain_tls.hpp"

namespace tlsmux::test {

// One group, one upstream "host" at 127.0.0.1:9000 with one session, 2-byte lengths.
config::Config fifo_config();
// The same with the first four bytes of a message as its key.
config::Config keyed_config();
// Its first upstream has another group, "other".
config::Config for_two_groups(config::Config config);

// Who is told instead of the rig's own `callers` and `holders`, for tests of what is behind them.
struct MuxListeners {
  engine::mux::Callers* callers = nullptr;
  engine::mux::LeaseHolders* holders = nullptr;
};

class MuxRig {
 public:
  // `source_ports` are the first upstream's.
  explicit MuxRig(config::Config config, std::size_t send_memory_bytes = 64 * 1024,
                  const std::vector<std::uint16_t>& source_ports = {}, MuxListeners listeners = {});

  // ---- Time.
  void advance_ms(std::uint64_t ms) { advance_ns(ms * engine::mux::kNanosecondsPerMillisecond); }
  void advance_ns(std::uint64_t ns);
  // To when the multiplexer wants to be called, and calls it.
  void advance_to_due();

  // ---- Callers. The tag names the request from then on.
  std::uint64_t submit(std::string_view message, std::uint32_t timeout_ms = 0, std::uint32_t upstream = 0);
  std::uint64_t submit_as(std::uint32_t client, std::uint32_t group, std::string_view message);
  // The same, then flush.
  std::uint64_t ask(std::string_view message, std::uint32_t timeout_ms = 0, std::uint32_t upstream = 0);
  // To a host's message, then flush.
  std::uint64_t reply(std::uint64_t notice, std::string_view message, std::uint32_t timeout_ms = 0);
  // The process that asked is dead, and `keeper` keeps its request.
  void orphan(std::uint64_t tag, std::uint64_t keeper);
  // What FakeCallers::outcome says.
  [[nodiscard]] std::string outcome(std::uint64_t tag) const { return callers.outcome(tag); }
  engine::mux::RequestIndex index_of(std::uint64_t tag) const { return indexes_[tag]; }

  // ---- Streams that want a session of the first upstream. `flush` comes after all of these.
  engine::mux::StreamId lease(std::uint32_t group = 0, std::uint32_t wait_ms = 0, std::string_view alpn = {});
  // How many bytes there was room for.
  std::size_t write(engine::mux::StreamId stream, std::string_view bytes);
  void give_back(engine::mux::StreamId stream);
  // What FakeLeaseHolders::state says.
  [[nodiscard]] std::string state(engine::mux::StreamId stream) const { return holders.state(stream); }
  // The index of the session that it has; kNone: none.
  [[nodiscard]] std::size_t session_of(engine::mux::StreamId stream) const;

  // ---- Connections, by the session's index.
  void connect(std::size_t session, int error = 0);
  // The worker does the oldest step, and the network all it was given.
  void step_handshake(std::size_t session);
  // Name, connect, handshake: all goes well.
  void bring_up(std::size_t session);
  void bring_up_all();
  // The kernel accepts so many bytes of the send in flight.
  void accept(std::size_t session, std::size_t bytes);
  void accept_all(std::size_t session);
  void fail_send(std::size_t session, int error);
  // The network is done with a connection that was closed; a send in flight comes back with `accepted` bytes, or
  // cancelled if that is 0.
  void finish_close(std::size_t session, std::size_t accepted = 0);
  // The host ends the connection: `ended` and all that follows.
  void lose(std::size_t session, int error = 0);

  // ---- Hosts, by the session's index.
  // Messages that have arrived whole since the last call.
  std::vector<std::string> heard(std::size_t session);
  // All bytes that have arrived since the last call, whatever they are.
  std::string heard_raw(std::size_t session);
  // Whether close_notify has arrived.
  bool was_told_goodbye(std::size_t session);
  void say(std::size_t session, std::string_view message);
  void say_raw(std::size_t session, std::span<const std::byte> plaintext);
  void say_close_notify(std::size_t session);
  // Whatever it is.
  void receive(std::size_t session, std::vector<std::byte> bytes) { mux.received(network[session].id, bytes); }

  [[nodiscard]] const engine::mux::Session& session(std::size_t index) const { return mux.sessions()[index]; }
  [[nodiscard]] const engine::mux::Upstream& upstream(std::size_t index = 0) const { return *mux.upstreams()[index]; }
  // How many sessions are in this state.
  [[nodiscard]] std::size_t count(shm::SessionState state) const;
  // The connections that are being made or shake hands.
  [[nodiscard]] std::size_t starting() const;
  [[nodiscard]] const engine::mux::GroupCounters& counters() const { return upstream().groups_counters[0]; }
  // Nothing is held any more: no request in a table, list or counter.
  [[nodiscard]] bool is_clean() const;

  config::Config config;
  FakeNetwork network;
  FakeWorkers workers;
  FakeCallers callers;
  FakeNotices notices;
  FakeEvents events;
  FakeTraceNumbers trace_numbers;
  FakeLeaseHolders holders;
  std::vector<PlainTlsClient*> tls_clients;  // owned by the multiplexer
  std::uint64_t now_ns = 1'000'000'000;
  engine::mux::Multiplexer mux;

 private:
  struct Host {
    PlainTlsHost tls;
    std::size_t read = 0;  // of the connection's wire
    std::vector<std::byte> plaintext;
    std::vector<std::byte> output;  // to be received by the engine
  };

  std::vector<std::unique_ptr<engine::tls::TlsClient>> make_tls_clients();
  void host_reads(std::size_t session);

  std::uint64_t submit(const engine::mux::NewRequest& request, std::string_view message);

  std::vector<Host> hosts_;
  std::vector<engine::mux::RequestIndex> indexes_;
};

}  // namespace tlsmux::test
