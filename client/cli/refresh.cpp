#include "client/cli/refresh.hpp"

#include <cstdio>

#include "client/cli/control_request.hpp"
#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/table.hpp"
#include "shm/system/sealed_text.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr int kPatienceMs = 10'000;               // what the broker may take
constexpr std::size_t kTextBytesMax = 64U << 20;  // more than any plan has

int fail(const shm::SystemError& error) {
  std::fprintf(stderr, "tlsmux refresh: %s\n", escaped(error.message).c_str());
  return exit_code_of_error(error.code);
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
  const auto answered = ask(control_socket_or_usual(options.control_socket), request, reply, kPatienceMs, [] {
    std::fputs("tlsmux refresh: the engine still reads files\n", stderr);
    return true;
  });
  if (!answered) return fail(answered.error());
  if (answered->descriptors.size() != 1) return fail({.code = EPROTO, .message = "the engine sent no plan"});
  const auto text = shm::read_sealed_text(answered->descriptors.front().get(), kTextBytesMax);
  if (!text) return fail(text.error());
  std::fputs((options.json ? *text : escaped_lines(*text)).c_str(), stdout);
  if (!options.json) std::fputs(conclusion(reply), stdout);
  return reply.result == shm::RefreshResult::refused ? kExitFailed : kExitDone;
}

}  // namespace tlsmux::client::cli
