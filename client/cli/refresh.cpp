#include "client/cli/refresh.hpp"

#include <cstdio>

#include "client/cli/control_request.hpp"
#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/table.hpp"
#include "client/monotonic_clock.hpp"
#include "shm/system/sealed_text.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr int kLooksSaid = 10;                    // it is said that the engine is still at work
constexpr std::size_t kTextBytesMax = 64U << 20;  // more than any plan has

int fail(const shm::SystemError& error) {
  std::fprintf(stderr, "tlsmux refresh: %s\n", escaped(error.message).c_str());
  return exit_code_of_error(error.code);
}

// False: it is over.
bool goes_on_waiting(EnginePatience& patience, int looks) {
  const auto verdict = patience.look(static_cast<std::uint64_t>(now_ns()));
  if (!verdict.words.empty()) {
    std::fprintf(stderr, "tlsmux refresh: %s\n", verdict.words.c_str());
  } else if (verdict.is_alive && looks % kLooksSaid == 0) {
    std::fputs("tlsmux refresh: the engine is still at work on it\n", stderr);
  }
  return verdict.waits_on;
}

const char* conclusion(const shm::RefreshReply& reply) {
  switch (reply.result) {
    case shm::RefreshResult::applied: return reply.changes == 0 ? "" : "applied\n";
    case shm::RefreshResult::planned: return "dry run: nothing was applied\n";
    case shm::RefreshResult::refused:
      return "nothing was applied: the engine goes on with the configuration that it has\n";
  }
  return "";
}

}  // namespace

int run_refresh(const RefreshOptions& options) {
  const shm::RefreshRequest request{.header = {}, .dry_run = options.dry_run ? 1U : 0U, .json = options.json ? 1U : 0U};
  shm::RefreshReply reply;
  const auto socket = control_socket_or_usual(options.control_socket);
  EnginePatience patience(socket, static_cast<std::uint64_t>(now_ns()), options.patience);
  int looks = 0;
  const auto answered =
      ask(socket, request, reply, kLookIntervalMs, [&] { return goes_on_waiting(patience, ++looks); });
  if (!answered) return fail(answered.error());
  if (answered->descriptors.size() != 1) return fail({.code = EPROTO, .message = "the engine sent no plan"});
  const auto text = shm::read_sealed_text(answered->descriptors.front().get(), kTextBytesMax);
  if (!text) return fail(text.error());
  std::fputs((options.json ? *text : escaped_lines(*text)).c_str(), stdout);
  if (!options.json) std::fputs(conclusion(reply), stdout);
  return reply.result == shm::RefreshResult::refused ? kExitFailed : kExitDone;
}

}  // namespace tlsmux::client::cli
