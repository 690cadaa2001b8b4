#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/host/host_report.hpp"
#include "tests/host/listening_process.hpp"
#include "tests/support/temporary_folder.hpp"

// What a test needs to run tlsmux-host: a folder for its files, certificates, and the process itself.
// Failures throw std::runtime_error, which fails the test case.
namespace tlsmux::host {

using test::TemporaryFolder;

// Runs scripts/make-certificates once for the test program, and gives the path of one of its files.
[[nodiscard]] std::string certificate_file(const std::string& name);

// A running tlsmux-host, with server.pem, a report file of its own and a port of the kernel's choice unless
// `arguments` say otherwise.
// It is killed at the end unless it was stopped. It is killed, too, when the test program dies.
class HostProcess {
 public:
  // Returns once the host listens.
  explicit HostProcess(const std::vector<std::string>& arguments = {});

  [[nodiscard]] std::uint16_t port() const { return process_.port(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  // "127.0.0.1:PORT", for --listen of a host that takes the place of this one.
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port()); }

  // What the host has counted by now.
  [[nodiscard]] HostReport report();
  // Asks for reports until one satisfies `wanted`; `what` tells a reader what did not come.
  HostReport await_report(const std::string& what, const std::function<bool(const HostReport&)>& wanted);
  // Until the count `name` is `least` or more.
  HostReport await_count(const std::string& name, std::uint64_t least);
  // stop(), which must succeed, and the last report.
  HostReport stop_and_report();

  // Sends SIGTERM, waits for the end and returns the exit code, or minus the signal it died of.
  int stop() { return process_.stop(); }
  // Sends SIGKILL and waits for the end.
  void kill() { process_.kill(); }

 private:
  TemporaryFolder folder_;
  std::string report_file_;
  std::uint64_t reports_seen_ = 0;
  ListeningProcess process_;
};

// Waits until the file exists and no longer has the contents `before`; returns the new contents.
[[nodiscard]] std::string await_file(const std::string& path, const std::string& before = {});

[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace tlsmux::host
