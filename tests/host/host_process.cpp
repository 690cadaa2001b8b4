#include "tests/host/host_process.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace tlsmux::host {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);  // only ever used up by a failure

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

std::vector<std::string> host_command(const std::vector<std::string>& arguments, const std::string& report_file) {
  std::vector<std::string> command = {TLSMUX_PROGRAM_FOLDER "/tlsmux-host"};
  const auto add_default = [&](const std::string& option, const std::string& value) {
    if (std::ranges::find(arguments, option) == arguments.end()) command.insert(command.end(), {option, value});
  };
  add_default("--certificate", certificate_file("server.pem"));
  add_default("--key", certificate_file("server.key"));
  add_default("--report", report_file);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

std::string report_file_in(const TemporaryFolder& folder, const std::vector<std::string>& arguments) {
  const auto named = std::ranges::find(arguments, "--report");
  if (named == arguments.end() || named + 1 == arguments.end()) return folder.path("report");
  std::error_code none;
  std::filesystem::remove(named[1], none);  // of an earlier host
  return named[1];
}

}  // namespace

std::string certificate_file(const std::string& name) {
  static const TemporaryFolder folder;
  static const int made = run_command({TLSMUX_SOURCE_FOLDER "/scripts/make-certificates", folder.path("")});
  if (made != 0) fail("scripts/make-certificates failed");
  return folder.path(name);
}

HostProcess::HostProcess(const std::vector<std::string>& arguments)
    : report_file_(report_file_in(folder_, arguments)), process_(host_command(arguments, report_file_)) {}

HostReport HostProcess::report() {
  const auto until = Clock::now() + kPatience;
  ::kill(pid(), SIGUSR1);
  while (Clock::now() < until) {
    const std::string json = read_file(report_file_);
    if (!json.empty()) {
      HostReport report(json);
      const auto number = report.count("report_number");
      if (number > reports_seen_) {
        reports_seen_ = number;
        return report;
      }
    }
    std::this_thread::yield();
  }
  fail("tlsmux-host writes no report");
}

HostReport HostProcess::await_report(const std::string& what, const std::function<bool(const HostReport&)>& wanted) {
  const auto until = Clock::now() + kPatience;
  while (Clock::now() < until) {
    HostReport now = report();
    if (wanted(now)) return now;
  }
  fail("the host's report never said: " + what);
}

HostReport HostProcess::await_count(const std::string& name, std::uint64_t least) {
  return await_report(name + " at least " + std::to_string(least),
                      [&](const HostReport& report) { return report.count(name) >= least; });
}

HostReport HostProcess::stop_and_report() {
  if (const int code = stop(); code != 0) fail("tlsmux-host ended with " + std::to_string(code));
  return HostReport(read_file(report_file_));
}

std::string await_file(const std::string& path, const std::string& before) {
  const auto until = Clock::now() + kPatience;
  while (Clock::now() < until) {
    const std::string now = read_file(path);
    if (!now.empty() && now != before) return now;
    std::this_thread::yield();
  }
  fail("nothing new came in " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace tlsmux::host
