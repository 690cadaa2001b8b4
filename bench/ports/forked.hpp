#pragma once

// Processes that run a function of this program. They die with the thread that made them.

#include <sys/types.h>

#include <functional>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

class Forked {
 public:
  // Its exit code is 0 unless `run` throws, which it says on standard error. Throws std::runtime_error if there can be no
  // process.
  explicit Forked(const std::function<void()>& run);
  Forked(Forked&& other) noexcept;
  Forked& operator=(Forked&&) = delete;
  // Kills it.
  ~Forked();

  // Waits for its end. Throws std::runtime_error if it has failed.
  void wait();

 private:
  pid_t pid_ = -1;
};

// One that does something and then stays as it is, with all that it holds, for as long as the object lives.
class Keeper {
 public:
  // Returns once `take` has. Throws std::runtime_error if that fails.
  explicit Keeper(const std::function<void()>& take);

 private:
  struct Pipe {
    Pipe();
    shm::UniqueFd reading;
    shm::UniqueFd writing;
  };
  Pipe taken_;
  Forked process_;
};

}  // namespace tlsmux::bench
