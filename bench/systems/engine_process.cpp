#include "bench/systems/engine_process.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "bench/process/cpu_time.hpp"
#include "bench/systems/config_template.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kTries = 3000;
constexpr int kTryMs = 10;

}  // namespace

void EngineProcess::start(const Ground& ground, const std::string& name, const std::string& config,
                          std::uint32_t sessions) {
  folder_ = ground.folder + "/" + name;
  group_ = "BENCH-" + std::to_string(::getpid()) + "-" + name;
  std::filesystem::create_directories(folder_);
  const auto config_file = folder_ + "/tlsmux.json";
  const auto log = folder_ + "/log";
  std::ofstream(config_file) << fill_in(
      config,
      {{"FOLDER", folder_}, {"GROUP", group_}, {"USER", std::to_string(::getuid())}, {"HOST", ground.host_address}});
  process_.emplace(Launch{.command = {ground.program_folder + "/tlsmuxd", config_file},
                          .environment = {},
                          .log_file = log,
                          .descriptors = {},
                          .signal_if_orphaned = SIGTERM});
  for (int tries = 0; tries < kTries && !process_->has_ended(); ++tries) {
    if (sessions_ready() == sessions) return;
    ::poll(nullptr, 0, kTryMs);
  }
  std::ifstream words(log);
  const std::string said{std::istreambuf_iterator<char>(words), {}};
  throw std::runtime_error("tlsmuxd does not serve; it says: " + said);
}

std::vector<std::string> EngineProcess::environment() const {
  return {"TLSMUX_GROUP=" + group_, "TLSMUX_CONTROL_SOCKET=" + folder_ + "/control.sock"};
}

std::vector<pid_t> EngineProcess::processes() const { return process_tree(process_->pid()); }

std::uint32_t EngineProcess::sessions_ready() const {
  const auto object = shm::open_group_object(group_);
  struct stat status{};
  if (!object || ::fstat(object->get(), &status) != 0 || status.st_size == 0) return 0;
  const auto mapping =
      shm::Mapping::map(object->get(), static_cast<std::uint64_t>(status.st_size), shm::Access::read_only);
  if (!mapping) return 0;
  const auto view = shm::GroupView::open(mapping->bytes());
  if (!view) return 0;
  std::uint32_t ready = 0;
  for (std::uint32_t i = 0; i < view->upstreams().size(); ++i) {
    shm::UpstreamRow row{};
    if (shm::read_row(view->upstreams()[i], row) && row.in_use != 0) ready += row.sessions_ready;
  }
  return ready;
}

}  // namespace tlsmux::bench
