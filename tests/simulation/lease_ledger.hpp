#pragma once

// The reference model of leased sessions: whose bytes went out on which connection, and who got what the host said there.
// It objects (by throwing Violation) when
//
//  - what goes out on a connection is not what its stream wrote, in order and without a gap
//  - a stream gets anything but what the host has said on its connection while it had it, in order and without a gap
//  - a session goes back to the pool that may not: not at a boundary both ways, or after its end was said, or against the
//    configuration; or a host has spoken on it that nobody had asked
//  - a stream is told that nothing was sent, but bytes that have no answer were accepted; or the other way round
//  - a stream is told that its host is done, which it is not
//  - a host is held up without need, or not held up while its stream has more to read than it may

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "shm/outcome.hpp"
#include "tests/simulation/wire_reader.hpp"

namespace tlsmux::simulation {

// A session with a connection, as the engine has it after a turn.
struct SessionView {
  std::uint64_t connection = 0;
  std::uint64_t stream = 0;  // that has it; 0: none
  bool is_up = false;
  bool is_held = false;
  bool has_output = false;  // for its process
  bool is_sending = false;  // sealed bytes wait to be taken by the connection
};

class LeaseLedger {
 public:
  explicit LeaseLedger(const config::Config& config) : config_(&config) {}

  // ---- Processes.
  void opened(std::uint64_t stream, std::uint32_t upstream);
  // One message more of those that it writes; with framing `none`, so many bytes.
  void composed(std::uint64_t stream, std::span<const std::byte> message);

  // What comes down reaches nobody any more.
  void left(std::uint64_t stream) { tenants_.at(stream).has_left = true; }

  // ---- Connections.
  void connected(std::uint64_t connection, std::uint32_t upstream, const WireReader& reader);
  struct Part {
    std::uint64_t stream = 0;
    std::size_t end = 0;  // in what the stream writes
  };
  // The engine has given the kernel a record with these bytes.
  Part sealed(std::uint64_t connection, std::span<const std::byte> bytes);
  void sealed_close(std::uint64_t connection);
  // The kernel has accepted the beginning of that record.
  void started(const Part& part);
  // What the host says: of an answer that is complete at its end, or not.
  void host_said(std::uint64_t connection, std::span<const std::byte> bytes, bool ends_answer);
  // It says what nobody has asked, or leaves out what was.
  void lied(std::uint64_t connection);
  [[nodiscard]] bool has_lied(std::uint32_t upstream) const { return liars_.contains(upstream); }
  // The messages on it say that it ends.
  void must_close(std::uint64_t connection) { connections_.at(connection).must_close = true; }
  // Its host has heard what no honest stream would have written (`reuse: always` after half a message).
  [[nodiscard]] bool is_muddy(std::uint64_t connection) const { return connections_.at(connection).is_muddy; }
  // What the engine is given, as it is on the wire.
  void told(std::uint64_t connection, std::span<const std::byte> wire);

  // ---- The engine, after each turn.
  void observe(const SessionView& view, const config::StreamSettings& settings);
  // With nothing left to do: nobody is held up for nothing.
  static void check_held(const SessionView& view);

  // ---- What comes down a stream.
  void delivered(std::uint64_t stream, std::span<const std::byte> bytes);
  // `is_told_by_end`: the process has said that it writes no more, and there is no other way to learn that it is gone.
  void closed(std::uint64_t stream, bool has_finished, bool is_told_by_end);
  void lost(std::uint64_t stream, shm::Reason reason, bool maybe_sent);

  // All answers have come down, as far as the host tells the truth.
  [[nodiscard]] bool is_satisfied(std::uint64_t stream) const;
  [[nodiscard]] std::string describe(std::uint64_t stream) const;
  [[nodiscard]] std::uint64_t reused() const { return reused_; }

 private:
  struct Connection {
    std::uint32_t upstream = 0;
    std::vector<std::byte> said;
    std::vector<std::size_t> answer_ends;  // in `said`
    WireReader reader{nullptr};            // of what the engine is given
    std::vector<std::byte> wire;           // of that, the beginning of a record that is not whole
    std::size_t told = 0;                  // of `said`
    bool is_wire_lost = false;
    std::uint64_t stream = 0;  // that has it, or had it last
    bool is_leased = false;
    bool is_over = false;  // it was taken from its stream, and not put into the pool
    bool has_lied = false;
    bool is_muddy = false;
    bool must_close = false;
    bool is_intruded = false;
    bool host_closed = false;  // and the engine knows
    bool said_close = false;
  };
  struct Tenant {
    std::uint32_t upstream = 0;
    std::vector<std::byte> text;
    std::vector<std::size_t> ends;  // of messages, in `text`
    std::size_t sealed = 0;
    std::size_t started = 0;
    std::uint64_t connection = 0;  // 0: none that is known
    std::size_t from = 0;          // in what the host said
    std::optional<std::size_t> to;
    std::size_t delivered = 0;
    bool lost_not_sent = false;
    bool has_left = false;
  };

  [[noreturn]] static void object(std::uint64_t stream, const Tenant& tenant, const std::string& what);
  void leave(Connection& connection, const SessionView& view, const config::StreamSettings& settings);
  void check_boundary(const Connection& connection, std::uint64_t stream, const Tenant& tenant) const;
  void check_left(const Connection& connection, std::uint64_t stream, const Tenant& tenant) const;
  void enter(const SessionView& view, Connection& connection, const config::StreamSettings& settings);
  [[nodiscard]] bool knows_messages(std::uint32_t upstream) const;
  // Of a stream's messages, so many have had their answers, as far as the engine has been told.
  [[nodiscard]] std::size_t answered(const Connection& connection, const Tenant& tenant) const;
  void check_not_sent(std::uint64_t stream, const Tenant& tenant) const;

  const config::Config* config_;
  std::map<std::uint64_t, Connection> connections_;
  std::map<std::uint64_t, Tenant> tenants_;
  std::set<std::uint32_t> liars_;  // upstreams
  std::uint64_t reused_ = 0;
};

}  // namespace tlsmux::simulation
