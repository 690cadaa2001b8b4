#include "client/cli/drain.hpp"

#include <cstdio>

#include "client/cli/control_request.hpp"
#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/observe.hpp"
#include "client/cli/status_report.hpp"
#include "client/cli/table.hpp"
#include "client/monotonic_clock.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr int kProgressIntervalMs = 1000;

// What the upstream still has to do, as one of the groups that use it shows it.
void show_progress(const std::string& socket, const std::string& upstream) {
  const auto groups = list_groups(socket);
  for (const auto& group : groups.value_or(std::vector<std::string>{})) {
    const auto observed = observe_group(socket, group);
    if (!observed) continue;
    for (const auto& each : report(*observed, static_cast<std::uint64_t>(now_ns())).upstreams) {
      if (each.name != upstream) continue;
      std::fprintf(stderr, "%s drains: %u in flight, %u waiting, %u sessions\n", upstream.c_str(), each.in_flight,
                   each.queued, each.sessions_ready);
      return;
    }
  }
}

}  // namespace

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
  const auto answered = ask(socket, request, reply, kProgressIntervalMs, [&] {
    show_progress(socket, options.upstream);
    return true;
  });
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
