#include "client/cli/engine_patience.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "client/cli/control_request.hpp"
#include "client/cli/engine_text.hpp"
#include "client/cli/time_text.hpp"
#include "ports/diagnosis/live_groups.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint64_t in_ns(std::chrono::seconds span) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(span).count());
}

std::string seconds_text(std::uint64_t ns) { return span_text(static_cast<std::int64_t>(ns) / kNanosecondsPerSecond); }

// tlsmuxd's, as the kernel knows it. 0: nobody listens, or the process cannot be seen from here.
std::uint32_t listener_of(const std::string& control_socket) {
  const auto socket = connect_to(control_socket);
  ucred listener{};
  socklen_t bytes = sizeof listener;
  if (!socket || ::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &listener, &bytes) != 0) return 0;
  return static_cast<std::uint32_t>(listener.pid);
}

}  // namespace

EnginePatience::EnginePatience(std::string control_socket, std::uint64_t now_ns, PatienceLimits limits)
    : control_socket_(std::move(control_socket)),
      limits_(limits),
      last_sign_ns_(now_ns),
      words_due_ns_(in_ns(limits.said_every)) {}

EnginePatience::Verdict EnginePatience::look(std::uint64_t now_ns) {
  bool answers = false;
  if (groups_.empty()) {
    answers = ask_for_groups();
    if (!answers) find_left_groups();
  }
  // A clock that has moved on while it was asked does no harm: it is late by some seconds.
  last_sign_ns_ = std::max(last_sign_ns_, groups_.empty() && answers ? now_ns : last_beat_ns());
  const auto silence_ns = now_ns - std::min(now_ns, last_sign_ns_);
  if (silence_ns >= in_ns(limits_.ends_after)) {
    return {.is_alive = false,
            .waits_on = false,
            .words = silence_text(now_ns) + "; waited for " + seconds_text(silence_ns) +
                     ", and no longer. If it goes on, it may still do what it was asked for"};
  }
  if (silence_ns < kHeartbeatWorryNs) {
    words_due_ns_ = in_ns(limits_.said_every);
    return {};
  }
  if (silence_ns < words_due_ns_) return {.is_alive = false, .words = {}};
  words_due_ns_ += in_ns(limits_.said_every);
  return {.is_alive = false, .words = silence_text(now_ns)};
}

bool EnginePatience::ask_for_groups() {
  const auto names = list_groups(control_socket_);
  for (const auto& name : names.value_or(std::vector<std::string>{})) {
    if (auto group = observe_group(control_socket_, name); group && group->engine_answers) {
      groups_.push_back(std::move(*group));
    }
  }
  return names.has_value();
}

// Those whose locks name the tlsmuxd that listens on the control socket, or the engine that it has started. They are believed of
// root and oneself alone.
void EnginePatience::find_left_groups() {
  const auto listener = listener_of(control_socket_);
  if (listener == 0) return;
  for (const auto& live : ports::find_live_groups()) {
    const auto server = ports::server_of(live.name);
    if (!live.is_trusted || !server) continue;
    if (server->pid != listener && parent_of(server->pid) != listener) continue;
    if (auto group = observe_left_group(live.name)) groups_.push_back(std::move(*group));
  }
}

// 0: no tables were found.
std::uint64_t EnginePatience::last_beat_ns() const {
  std::uint64_t last_ns = 0;
  for (const auto& group : groups_) {
    last_ns = std::max(last_ns, group.view.header().heartbeat_ns.load(std::memory_order_relaxed));
  }
  return last_ns;
}

std::string EnginePatience::silence_text(std::uint64_t now_ns) const {
  if (groups_.empty()) return "the engine does not answer";
  const auto beat_ns = last_beat_ns();
  return "the engine (pid " + std::to_string(groups_.front().view.header().engine_pid) +
         ") does not answer; its data loop has not moved for " + seconds_text(now_ns - std::min(now_ns, beat_ns));
}

}  // namespace tlsmux::client::cli
