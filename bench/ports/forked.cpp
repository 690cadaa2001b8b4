#include "bench/ports/forked.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <utility>

#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

// Ends without the destructors of what it has inherited.
[[noreturn]] void run_and_exit(const std::function<void()>& run) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int code = 1;
  try {
    run();
    code = 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tlsmux-bench: in a process of its own: %s\n", error.what());
  }
  ::_exit(code);
}

}  // namespace

Forked::Forked(const std::function<void()>& run) {
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error(shm::last_error("starting a process").message);
  if (pid_ == 0) run_and_exit(run);
}

Forked::Forked(Forked&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Forked::~Forked() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Forked::wait() {
  int status = 0;
  const auto ended = ::waitpid(std::exchange(pid_, -1), &status, 0);
  if (ended < 0 || status != 0) throw std::runtime_error("a process of the benchmark has failed");
}

Keeper::Pipe::Pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(shm::last_error("making a pipe").message);
  reading.reset(ends[0]);
  writing.reset(ends[1]);
}

Keeper::Keeper(const std::function<void()>& take)
    : process_([&] {
        take();
        if (::write(taken_.writing.get(), "x", 1) != 1) throw std::runtime_error("nobody waits for it");
        for (;;) ::pause();
      }) {
  taken_.writing.reset();
  char word = 0;
  if (::read(taken_.reading.get(), &word, 1) != 1) process_.wait();
}

}  // namespace tlsmux::bench
