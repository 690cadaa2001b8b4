#include "client/cli/drain.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "client/cli/control_request.hpp"
#include "client/cli/engine_text.hpp"
#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/table.hpp"
#include "client/monotonic_clock.hpp"

namespace tlsmux::client::cli {
namespace {

bool is_open(const SessionStatus& session) {
  return session.state == "ready" || session.state == "signing_on" || session.state == "draining";
}

std::string progress_text(const UpstreamStatus& upstream) {
  const auto open = std::ranges::count_if(upstream.sessions, is_open);
  return escaped(upstream.name) + " drains: " + std::to_string(upstream.in_flight) + " in flight, " +
         std::to_string(upstream.queued) + " waiting, " + std::to_string(open) +
         (open == 1 ? " session" : " sessions") + " open";
}

// As one of the groups that use the upstream shows it.
void show_progress(const std::vector<ObservedGroup>& groups, const std::string& upstream, std::uint64_t now_ns) {
  for (const auto& group : groups) {
    const auto text = drain_progress(report(group, now_ns), upstream);
    if (text.empty()) continue;
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
}

// False: it is over.
bool goes_on_waiting(EnginePatience& patience, const std::string& upstream) {
  const auto now = static_cast<std::uint64_t>(now_ns());
  const auto verdict = patience.look(now);
  if (verdict.is_alive) show_progress(patience.groups(), upstream, now);
  if (!verdict.words.empty()) std::fprintf(stderr, "tlsmux drain: %s\n", verdict.words.c_str());
  return verdict.waits_on;
}

}  // namespace

std::string drain_progress(const GroupStatus& group, const std::string& upstream) {
  const auto found = std::ranges::find(group.upstreams, upstream, &UpstreamStatus::name);
  const bool is_known = found != group.upstreams.end() && group.engine.heartbeat_age_ns <= kHeartbeatWorryNs;
  return is_known && found->draining ? progress_text(*found) : std::string();
}

int run_drain(const DrainOptions& options) {
  const auto socket = control_socket_or_usual(options.control_socket);
  shm::DrainUpstreamRequest request{
      .header = {}, .upstream = {}, .resume = options.resume ? 1U : 0U, .timeout_ms = options.timeout_ms};
  if (options.upstream.size() >= request.upstream.size()) {
    std::fprintf(stderr, "tlsmux drain: %s: too long for an upstream's name\n", options.upstream.c_str());
    return kExitUsage;
  }
  shm::set_text(request.upstream, options.upstream);
  shm::DrainUpstreamReply reply;
  EnginePatience patience(socket, static_cast<std::uint64_t>(now_ns()), options.patience);
  const auto answered =
      ask(socket, request, reply, kLookIntervalMs, [&] { return goes_on_waiting(patience, options.upstream); });
  if (!answered) {
    std::fprintf(stderr, "tlsmux drain: %s: %s\n", options.upstream.c_str(), escaped(answered.error().message).c_str());
    return exit_code_of_error(answered.error().code);
  }
  if (options.resume) {
    std::printf("%s takes requests again\n", options.upstream.c_str());
  } else if (reply.requests_left == 0) {
    std::printf("%s is drained: it takes no requests until `tlsmux drain --resume %s`\n", options.upstream.c_str(),
                options.upstream.c_str());
  } else {
    std::printf("%s is drained, but %u %s not done in time and %s ended\n", options.upstream.c_str(),
                reply.requests_left, reply.requests_left == 1 ? "request was" : "requests were",
                reply.requests_left == 1 ? "was" : "were");
  }
  return reply.requests_left == 0 ? kExitDone : kExitFailed;
}

}  // namespace tlsmux::client::cli
