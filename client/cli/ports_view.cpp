#include "client/cli/ports_view.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <expected>
#include <optional>
#include <utility>
#include <vector>

#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/observe.hpp"
#include "client/cli/ports_compare.hpp"
#include "client/cli/ports_kernel.hpp"
#include "client/cli/ports_text.hpp"
#include "client/cli/screen.hpp"
#include "client/cli/table.hpp"
#include "client/monotonic_clock.hpp"

namespace tlsmux::client::cli {
namespace {

using Reports = std::vector<PortsReport>;

std::expected<Reports, shm::SystemError> look(const PortsViewOptions& options) {
  const auto socket = control_socket_or_usual(options.control_socket);
  const auto group = or_environment(options.group, "TLSMUX_GROUP", "");
  const auto names = choose_groups(socket, group);
  if (!names) return std::unexpected(names.error());
  Reports reports;
  for (const auto& name : *names) {
    const auto observed = observe_group(socket, name);
    if (!observed) return std::unexpected(observed.error());
    auto report = read_port_tables(*observed, static_cast<std::uint64_t>(now_ns()));
    compare(report, ask_kernel(report));
    name_accounts(report);
    reports.push_back(std::move(report));
  }
  return reports;
}

std::string text_of(const Reports& reports, const PortsViewOptions& options) {
  if (options.json) return ports_json(reports, options.watch ? JsonLines::one : JsonLines::many);
  std::string text;
  for (const auto& each : reports) text += (text.empty() ? "" : "\n") + ports_text(each, std::time(nullptr));
  return text;
}

std::string failure_text(const shm::SystemError& error) { return "tlsmux ports: " + escaped(error.message) + "\n"; }

int exit_code_of(const Reports& reports, const PortsViewOptions& options) {
  std::uint32_t differences = 0;
  for (const auto& each : reports) differences += count_differences(each);
  return options.check && differences > 0 ? kExitFailed : kExitDone;
}

// SIGINT and SIGTERM while it exists: they wait until they are asked for.
class EndSignals {
 public:
  EndSignals() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    ::sigaddset(&signals_, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &signals_, &before_);
  }
  ~EndSignals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  // False: one has come within this second.
  [[nodiscard]] bool wait() const {
    const timespec second{.tv_sec = 1, .tv_nsec = 0};
    return ::sigtimedwait(&signals_, nullptr, &second) < 0;
  }

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

// An engine that is away for a while is no reason to end.
int watch(const PortsViewOptions& options) {
  const EndSignals signals;
  std::optional<Screen> screen;
  if (!options.json && ::isatty(STDOUT_FILENO) != 0) screen.emplace();
  int exit_code = kExitDone;
  do {
    const auto reports = look(options);
    exit_code = reports ? exit_code_of(*reports, options) : exit_code_of_error(reports.error().code);
    if (screen) {
      screen->draw(reports ? text_of(*reports, options) : failure_text(reports.error()));
    } else if (reports) {
      std::fputs((text_of(*reports, options) + (options.json ? "" : "\n")).c_str(), stdout);
      std::fflush(stdout);
    } else {
      std::fputs(failure_text(reports.error()).c_str(), stderr);
    }
  } while (std::ferror(stdout) == 0 && signals.wait());
  return exit_code;
}

}  // namespace

int run_ports_view(const PortsViewOptions& options) {
  if (options.watch) return watch(options);
  const auto reports = look(options);
  if (!reports) {
    std::fputs(failure_text(reports.error()).c_str(), stderr);
    return exit_code_of_error(reports.error().code);
  }
  std::fputs(text_of(*reports, options).c_str(), stdout);
  return exit_code_of(*reports, options);
}

}  // namespace tlsmux::client::cli
