#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shm/system/unique_fd.hpp"
#include "tests/host/connection_log.hpp"
#include "tests/host/listener.hpp"
#include "tests/host/options.hpp"
#include "tests/host/random.hpp"
#include "tests/host/record.hpp"
#include "tests/host/report.hpp"
#include "tests/host/session.hpp"
#include "tests/host/shared_state.hpp"
#include "tests/host/shuffle_window.hpp"
#include "tests/host/timer_queue.hpp"
#include "tests/host/tls_context.hpp"

namespace tlsmux::host {

// The payment host: one thread, one epoll loop. Each turn reads what has come, writes the record of it, and
// only then sends answers.
class Host {
 public:
  // Opens listener, certificates and record. `options` must outlive the host. The error says which option is
  // at fault.
  static std::expected<std::unique_ptr<Host>, std::string> open(const Options& options);

  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] const std::string& address() const { return listener_.address; }

  // Serves until SIGTERM or SIGINT, which must be blocked by the caller as SIGUSR1 must; SIGPIPE must be
  // ignored. Writes the report at the end. Fails when the record or report cannot be written, or descriptors
  // run out.
  std::expected<void, std::string> run();

 private:
  using Result = std::expected<void, std::string>;
  // How long a closed connection is read on for what was under way, and how long a stop takes at most.
  static constexpr std::uint64_t kLingerNs = 1'000'000'000;

  explicit Host(const Options& options)
      : options_(options), window_(options.shuffle, options.behaviour.seed), random_(options.behaviour.seed) {}
  Result watch();

  Result turn();
  Result dispatch(std::uint64_t number, std::uint32_t events);
  Result take_signals();
  Result accept_all();
  Result admit(shm::UniqueFd socket);
  Result begin_session(std::uint64_t number, shm::UniqueFd socket);

  void advance(Session& session, std::uint32_t events);
  void shake_hands(Session& session);
  void begin_service(Session& session);
  void end_handshake(Session& session);
  void read(Session& session);
  void read_again(Session& session);
  void cut_frames(Session& session);
  void take_frame(Session& session, const Frame& frame);
  void take_keep_alive(Session& session);
  void take_message(Session& session, std::string_view body);
  void apply_limits(Session& session);
  [[nodiscard]] bool misbehave(Session& session);

  void fire_timers();
  void fire(Session& session, const Timer& timer);
  void repeat(Session& session, Timer::Kind kind, std::uint64_t every_ms);
  void emit_answer(Session& session, std::string_view bytes);
  void empty_window();
  void put_answer(std::uint64_t number, std::string_view bytes);
  bool put(Session& session, std::string_view bytes);
  [[nodiscard]] bool may_send(const Session& session) const;
  Session* any_session();

  void touch(Session& session);
  void settle_touched();
  void send(Session& session);
  void update_pause(Session& session);
  void update_events(Session& session);
  void close(Session& session);
  void linger(Session& session);
  void fail(Session& session);
  [[nodiscard]] std::uint64_t now_us() const { return (now_ns_ - started_ns_) / 1000; }

  void begin_stop();
  [[nodiscard]] bool stopped() const;
  Result report();

  const Options& options_;
  Listener listener_;
  SslContext tls_;
  Record record_;
  shm::UniqueFd epoll_;
  shm::UniqueFd signals_;
  SharedState shared_;
  Totals& totals_ = shared_.totals;
  ConnectionLog log_;
  ShuffleWindow window_;
  Random random_;  // chooses sessions
  TimerQueue timers_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::unordered_map<std::uint64_t, shm::UniqueFd> stalled_;  // accepted under --handshake-stall
  std::vector<std::uint64_t> touched_;
  std::vector<std::uint64_t> unread_;
  Reaction reaction_;
  std::uint64_t reports_ = 0;
  std::uint64_t started_ns_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t stop_by_ns_ = 0;  // 0 while not stopping
};

}  // namespace tlsmux::host
