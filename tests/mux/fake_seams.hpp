#pragma once

// The multiplexer's world, moved by hand: nothing happens unless a test makes it happen. Each fake checks what its seam
// promises of the multiplexer (one send at a time, nothing after the last word).

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/mux/seams.hpp"

namespace tlsmux::test {

std::vector<std::byte> to_bytes(std::string_view text);
std::string to_text(std::span<const std::byte> bytes);

class FakeNetwork final : public engine::mux::Network {
 public:
  enum class Stage : std::uint8_t { none, connecting, up, closing };

  struct Connection {
    engine::mux::SessionId id;
    engine::mux::Address address;
    engine::mux::ConnectOptions options;
    Stage stage = Stage::none;
    std::optional<std::span<const std::byte>> sending;
    std::vector<std::byte> wire;  // all that the kernel has accepted
    std::size_t sends = 0;
    bool held = false;
    std::vector<std::byte> memory;
  };

  FakeNetwork(std::size_t sessions, std::size_t send_memory_bytes);

  std::span<std::byte> send_memory(std::uint32_t session_index) override;
  void connect(engine::mux::SessionId session, const engine::mux::Address& address,
               const engine::mux::ConnectOptions& options) override;
  void send(engine::mux::SessionId session, std::span<const std::byte> bytes) override;
  void close(engine::mux::SessionId session) override;
  void hold(engine::mux::SessionId session) override;
  void resume(engine::mux::SessionId session) override;

  Connection& operator[](std::size_t session) { return connections_[session]; }
  [[nodiscard]] std::size_t size() const { return connections_.size(); }
  [[nodiscard]] const std::vector<std::string>& dialled() const { return dialled_; }

 private:
  std::vector<Connection> connections_;
  std::vector<std::string> dialled_;  // every address, in order
};

class FakeWorkers final : public engine::mux::Workers {
 public:
  struct Lookup {
    engine::mux::SessionId session;
    std::string host;
    std::uint16_t port = 0;
  };
  struct Step {
    engine::mux::SessionId session;
    std::unique_ptr<engine::tls::TlsSession> tls;
    std::vector<std::byte> received;
  };

  void resolve(engine::mux::SessionId session, const std::string& host, std::uint16_t port) override;
  void handshake(engine::mux::SessionId session, std::unique_ptr<engine::tls::TlsSession> tls,
                 std::vector<std::byte> received) override;

  // Not done yet, oldest first.
  std::vector<Lookup> lookups;
  std::vector<Step> steps;
};

// Callers with one slot word each, named by the tag.
class FakeCallers final : public engine::mux::Callers {
 public:
  enum class State : std::uint8_t { queued, sending, withdrawn, expired, answered, refused, lost };

  struct Request {
    std::vector<std::byte> message;
    State state = State::queued;
    bool returned = false;  // the multiplexer has said its last word
    shm::Reason reason = shm::Reason::none;
    shm::Reason own_reason = shm::Reason::none;
    std::uint16_t error_field = 0;
    std::uint32_t error_offset = 0;
    std::string answer;
  };

  engine::mux::Caller ask(std::vector<std::byte> message);

  // The caller's own moves. False: too late.
  bool withdraw(std::uint64_t tag, shm::Reason reason = shm::Reason::cancelled);
  bool expire(std::uint64_t tag, shm::Reason reason = shm::Reason::cancelled);

  bool take(const engine::mux::Caller& caller) override;
  bool still_wanted(const engine::mux::Caller& caller) override;
  std::span<const std::byte> message(const engine::mux::Caller& caller, std::uint32_t length) override;
  bool answer(const engine::mux::Caller& caller, std::span<const std::byte> message) override;
  bool refuse(const engine::mux::Caller& caller, const engine::mux::Refusal& refusal) override;
  bool lose(const engine::mux::Caller& caller, shm::Reason reason) override;
  shm::Reason own_reason(const engine::mux::Caller& caller) override;

  // "open", "answered TEXT", "not_sent REASON", "maybe_sent REASON", "withdrawn", "expired". The last two with
  // " open" behind them until the multiplexer has given the slots back.
  [[nodiscard]] std::string outcome(std::uint64_t tag) const;

  // How requests of dead processes ended, by what keeps them (Caller::generation). "answered TEXT", ...
  std::map<std::uint64_t, std::string> orphans;

  Request& operator[](std::uint64_t tag) { return requests_[tag]; }
  [[nodiscard]] std::size_t size() const { return requests_.size(); }

  // The process is dead: from now on none of its requests may be mentioned again.
  void die() { dead_ = true; }

 private:
  Request& open_request(const engine::mux::Caller& caller);
  bool end_orphan(const engine::mux::Caller& caller, const std::string& outcome);

  std::vector<Request> requests_;
  bool dead_ = false;
};

class FakeNotices final : public engine::mux::Notices {
 public:
  struct Late {
    engine::mux::Caller caller;
    std::uint32_t upstream = 0;
    std::uint32_t group = 0;
    std::string message;
  };
  struct Unsolicited {
    std::uint32_t upstream = 0;
    std::uint64_t notice = 0;
    std::string message;
  };

  void late(const engine::mux::Caller& caller, std::uint32_t upstream, std::uint32_t group,
            std::span<const std::byte> message) override;
  void unsolicited(std::uint32_t upstream, std::uint64_t notice, std::span<const std::byte> message) override;

  std::vector<Late> late_ones;
  std::vector<Unsolicited> unsolicited_ones;
};

class FakeTraceNumbers final : public engine::mux::TraceNumberSource {
 public:
  std::optional<std::uint32_t> take_own(std::uint32_t /*upstream*/) override {
    return are_there ? std::optional(++last) : std::nullopt;
  }

  std::uint32_t last = 0;
  bool are_there = true;
};

// Streams that want sessions, by the index of their id.
class FakeLeaseHolders final : public engine::mux::LeaseHolders {
 public:
  struct Stream {
    engine::mux::StreamId id;
    bool granted = false;
    bool over = false;  // the last has been said of it
    std::string received;
    std::size_t rooms = 0;  // how often there was room again
    bool host_finished = false;
    shm::Reason reason = shm::Reason::none;
    std::string words;
    bool maybe_sent = false;
  };

  // A new one.
  engine::mux::StreamId add();

  void lease_granted(engine::mux::StreamId stream, const engine::tls::PeerFacts& facts) override;
  void lease_refused(engine::mux::StreamId stream, shm::Reason reason, std::string_view words) override;
  void host_sent(engine::mux::StreamId stream, std::span<const std::byte> bytes) override;
  void lease_has_room(engine::mux::StreamId stream) override;
  void host_finished(engine::mux::StreamId stream) override;
  void lease_lost(engine::mux::StreamId stream, shm::Reason reason, std::string_view words, bool maybe_sent) override;

  // "waits", "open", "refused REASON", "lost REASON", "maybe_sent REASON".
  [[nodiscard]] std::string state(engine::mux::StreamId stream) const;

  Stream& operator[](engine::mux::StreamId stream) { return streams_[stream.index]; }

 private:
  // Has a session, and nothing final has been said.
  Stream& open_stream(engine::mux::StreamId stream);

  std::vector<Stream> streams_;
};

class FakeEvents final : public engine::mux::Events {
 public:
  struct Entry {
    engine::mux::EventKind kind{};
    std::uint32_t session = 0;
    std::string address;
    shm::Reason reason{};
    std::string words;
    std::uint32_t maybe_sent = 0;
    std::uint32_t retry_in_ms = 0;
    std::string group;
  };

  void event(const engine::mux::Event& event) override;

  // How many of that kind there have been.
  [[nodiscard]] std::size_t count(engine::mux::EventKind kind) const;
  [[nodiscard]] const Entry& last() const { return entries.back(); }

  std::vector<Entry> entries;
};

}  // namespace tlsmux::test
