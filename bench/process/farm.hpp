#pragma once

// The clients of one system: processes that are connected and wait to be told to work.

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "bench/board.hpp"
#include "bench/process/child_process.hpp"
#include "bench/systems/system.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

// What the working clients saw in one slice, taken together.
struct FarmSlice {
  std::uint64_t answered = 0;
  std::uint64_t in_window = 0;
  std::uint64_t bytes_in_window = 0;
  std::uint64_t errors = 0;
  std::vector<std::uint32_t> latencies_ns;
  std::string error_text;  // of the first error
};

// Failures throw std::runtime_error.
class Farm {
 public:
  // `task` is what clients begin with: one request of its kind each.
  Farm(const Ground& ground, std::uint32_t clients, std::uint64_t samples_per_client, const Task& task);

  // Starts all clients, and returns when each has had an answer.
  void start(const System& system);
  // Instead: programs that talk to nobody.
  void start_idle();

  // The first `active` clients work, the others sleep.
  FarmSlice run_slice(const Task& task, std::uint32_t active);

  // One client, for one request, from its start to its end; number 0, and nothing else may run.
  struct Once {
    std::uint64_t latency_ns = 0;  // from its first call
    std::uint64_t cpu_ns = 0;      // of the whole process
    std::string error_text;        // empty: it was answered
  };
  Once run_once(const System& system);

  [[nodiscard]] std::vector<pid_t> pids() const;

 private:
  struct Client {
    ChildProcess process;
    shm::UniqueFd control;
  };
  Client start_client(const ClientCommand& command, std::uint32_t number, bool once);
  void await(const Client& client, char wanted, std::uint32_t number);

  const Ground& ground_;
  std::uint32_t count_;
  Board board_;
  std::vector<Client> clients_;
};

}  // namespace tlsmux::bench
