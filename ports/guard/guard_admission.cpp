#include "ports/guard/guard_admission.hpp"

#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <bpf/bpf.h>

#include "ports/guard/port_guard.h"

namespace tlsmux::ports {
namespace {

// proc(5), /proc/PID/stat: "PID (NAME) STATE ...", the number of threads is field 20 and the start is field 22. The name may
// hold anything, so the fields are counted from its end. Nothing: there is no such process any more.
std::optional<std::uint64_t> start_ticks_of(std::uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text, '\0');  // not by the stream's buffer, which throws when the process ends before it is read
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state, skipped;
  fields >> state;
  for (int field = 4; field < 20; ++field) fields >> skipped;
  std::uint64_t threads = 0;
  std::uint64_t ticks = 0;
  if (!(fields >> threads >> skipped >> ticks)) return std::nullopt;
  // The state is the first thread's, which may end before the others do.
  if ((state == "Z" || state == "X") && threads <= 1) return std::nullopt;
  return ticks;
}

std::vector<GuardProcess> processes_in(int map) {
  std::vector<GuardProcess> processes;
  GuardProcess process{};
  const GuardProcess* previous = nullptr;
  while (::bpf_map_get_next_key(map, previous, &process) == 0) {
    processes.push_back(process);
    previous = &processes.back();
  }
  return processes;
}

}  // namespace

std::expected<void, shm::SystemError> admit_process(int admitted_map, std::uint64_t service_id, pid_t pid) {
  const auto start = start_ticks_of(static_cast<std::uint32_t>(pid));
  const auto what = "admitting process " + std::to_string(pid) + " to the guarded ports";
  if (!start) {
    errno = ESRCH;
    return std::unexpected(shm::last_error(what));
  }
  const GuardProcess process{
      .service_id = service_id, .start_ticks = *start, .pid = static_cast<std::uint32_t>(pid), .reserved = 0};
  const std::uint32_t value = 1;
  if (::bpf_map_update_elem(admitted_map, &process, &value, BPF_ANY) == 0) return {};
  if (errno == E2BIG) {
    forget_ended_processes(admitted_map);
    if (::bpf_map_update_elem(admitted_map, &process, &value, BPF_ANY) == 0) return {};
  }
  return std::unexpected(shm::last_error(what));
}

void dismiss_process(int admitted_map, std::uint64_t service_id, pid_t pid) {
  auto processes = processes_in(admitted_map);
  std::erase_if(processes, [&](const GuardProcess& process) {
    return process.service_id != service_id || process.pid != static_cast<std::uint32_t>(pid);
  });
  const auto start = start_ticks_of(static_cast<std::uint32_t>(pid));
  const auto is_ended = [&](const GuardProcess& process) { return process.start_ticks != start; };
  if (std::ranges::any_of(processes, is_ended)) std::erase_if(processes, std::not_fn(is_ended));
  for (const auto& process : processes) ::bpf_map_delete_elem(admitted_map, &process);
}

void dismiss_all_processes(int admitted_map) {
  for (const auto& process : processes_in(admitted_map)) ::bpf_map_delete_elem(admitted_map, &process);
}

void forget_ended_processes(int admitted_map) {
  for (const auto& process : processes_in(admitted_map)) {
    if (start_ticks_of(process.pid) != process.start_ticks) ::bpf_map_delete_elem(admitted_map, &process);
  }
}

}  // namespace tlsmux::ports
