#include "bench/systems/sidecar.hpp"

#include <poll.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "bench/process/cpu_time.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kTries = 1000;
constexpr int kTryMs = 10;

}  // namespace

void Sidecar::start(const Ground& ground, const Demand& demand) {
  files_.folder = ground.folder + "/" + demand.name;
  files_.config = files_.folder + "/config";
  files_.socket = files_.folder + "/socket";
  const auto log = files_.folder + "/log";
  std::filesystem::create_directories(files_.folder);
  std::ofstream(files_.config) << config_text(ground, demand, files_);
  process_.emplace(Launch{.command = command(files_),
                          .environment = {},
                          .log_file = log,
                          .descriptors = {},
                          .signal_if_orphaned = SIGTERM});
  for (int tries = 0; tries < kTries && !process_->has_ended(); ++tries) {
    // Not by connecting: that would be a handshake with the host, which counts them.
    if (std::filesystem::exists(files_.socket)) return;
    ::poll(nullptr, 0, kTryMs);
  }
  std::ifstream words(log);
  const std::string said{std::istreambuf_iterator<char>(words), {}};
  throw std::runtime_error(demand.name + " does not serve; it says: " + said);
}

ClientCommand Sidecar::client(std::uint32_t /*number*/) const {
  return {.program = "tlsmux-bench-plain", .target = files_.socket, .session_file = "", .environment = {}};
}

std::vector<pid_t> Sidecar::services() const { return process_tree(process_->pid()); }

}  // namespace tlsmux::bench
