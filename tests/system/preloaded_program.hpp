#pragma once

// A program in a scene under LD_PRELOAD=libtlsmux_ports.so, which knows nothing of tlsmux. Killed with the object.

#include <memory>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tests/system/port_scene.hpp"

namespace tlsmux::test {

class PreloadedProgram {
 public:
  // As a member of the scene's first group, in whose name it gets its ports. `variables` as "NAME=value".
  PreloadedProgram(const PortScene& scene, const std::vector<std::string>& arguments,
                   const std::vector<std::string>& variables = {}, const Identity& who = kFirstUser);

  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  // What it printed next, on standard output or standard error, without the line's end; empty: nothing comes any more.
  std::string line();
  // Fails the test if there is none; the rest is left out.
  std::string line_with(const std::string& text);
  void type(const std::string& text) const;
  void end_of_input() { input_.reset(); }
  void kill() const { process_->send_signal(9); }
  int wait() { return process_->wait(); }

 private:
  shm::UniqueFd input_;
  shm::UniqueFd output_;
  std::string read_;
  std::unique_ptr<ChildProcess> process_;
};

// A copy in the scene's folder, which every user can read and run.
std::string copy_into(const PortScene& scene, const std::string& file);

// True when the test cannot run, having said so.
bool skip_without_program(const std::string& path, const std::string& package);

}  // namespace tlsmux::test
