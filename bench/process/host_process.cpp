#include "bench/process/host_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <sstream>
#include <stdexcept>
#include <utility>

#include "bench/process/cpu_time.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kPatienceMs = 20'000;

struct Pipe {
  shm::UniqueFd read_end;
  shm::UniqueFd write_end;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(shm::last_error("making a pipe").message);
  return {.read_end = shm::UniqueFd(ends[0]), .write_end = shm::UniqueFd(ends[1])};
}

ChildProcess start(const std::string& program_folder, const std::string& certificate_file, const std::string& key_file,
                   unsigned threads, shm::UniqueFd& input, shm::UniqueFd& output) {
  auto to_host = make_pipe();
  auto from_host = make_pipe();
  input = std::move(to_host.write_end);
  output = std::move(from_host.read_end);
  return ChildProcess(
      {.command = {program_folder + "/tlsmux-bench-host", "--certificate", certificate_file, "--key", key_file,
                   "--threads", std::to_string(threads)},
       .environment = {},
       .log_file = "",
       .descriptors = {{to_host.read_end.get(), STDIN_FILENO}, {from_host.write_end.get(), STDOUT_FILENO}}});
}

}  // namespace

HostProcess::HostProcess(const std::string& program_folder, const std::string& certificate_file,
                         const std::string& key_file, unsigned threads)
    : process_(start(program_folder, certificate_file, key_file, threads, input_, output_)) {
  std::istringstream words(read_line());
  std::string word;
  if (!(words >> word >> address_) || word != "listening") throw std::runtime_error("the host does not listen");
}

std::uint64_t HostProcess::cpu_ns() const { return bench::cpu_ns(process_.pid()); }

HostCount HostProcess::count() {
  if (::write(input_.get(), "\n", 1) != 1) throw std::runtime_error("the host is gone");
  std::istringstream words(read_line());
  std::string word;
  HostCount count;
  if (!(words >> word >> count.handshakes >> count.resumed >> count.messages >> count.errors) || word != "counted") {
    throw std::runtime_error("the host does not say what it has counted");
  }
  return count;
}

std::string HostProcess::read_line() {
  std::string line;
  pollfd readable{.fd = output_.get(), .events = POLLIN, .revents = 0};
  for (char c = 0; c != '\n'; line += c) {
    if (::poll(&readable, 1, kPatienceMs) != 1 || ::read(output_.get(), &c, 1) != 1) {
      throw std::runtime_error("the host says nothing");
    }
  }
  return line;
}

}  // namespace tlsmux::bench
