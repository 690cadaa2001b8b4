#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "shm/unique_fd.hpp"

// What a test needs to run tlsmux-host: a folder for its files, certificates, and the process itself.
// Failures throw std::runtime_error, which fails the test case.
namespace tlsmux::host {

// A new folder, removed with all in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

// Runs scripts/make-certificates once for the test program, and gives the path of one of its files.
[[nodiscard]] std::string certificate_file(const std::string& name);

// A running tlsmux-host, with server.pem and a port of the kernel's choice unless `arguments` say otherwise.
// It is killed at the end unless it was stopped. It is killed, too, when the test program dies.
class HostProcess {
 public:
  // Returns once the host listens.
  explicit HostProcess(const std::vector<std::string>& arguments = {});
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  // Sends SIGTERM, waits for the end and returns the exit code, or minus the signal it died of.
  int stop();
  // Sends SIGKILL and waits for the end.
  void kill();

 private:
  void await_listening();
  int await_end();

  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  shm::UniqueFd output_;
};

// Waits until the file exists and no longer has the contents `before`; returns the new contents.
[[nodiscard]] std::string await_file(const std::string& path, const std::string& before = {});

[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace tlsmux::host
