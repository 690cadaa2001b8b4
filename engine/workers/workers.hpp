#pragma once

#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "config/limits.hpp"
#include "engine/shard/mailbox.hpp"
#include "engine/workers/job_queue.hpp"
#include "engine/workers/worker_jobs.hpp"

namespace tlsmux::engine {

// Threads ("tmx-worker") that run handshake steps, which cost milliseconds of CPU each. Results come in any order.
class Workers {
 public:
  // `results` outlives it. Requires threads >= 1. Throws std::system_error when a thread cannot be started.
  Workers(Mailbox<WorkerResult>& results, std::uint32_t threads, std::size_t jobs_max = config::kSessionsMax);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Waits for the steps that have begun, whose results are still posted. Jobs not begun are dropped with their
  // sessions.
  ~Workers();

  // Any thread; does not wait. False when `jobs_max` jobs are waiting: `job` is then untouched. A session has one step
  // at a time, so that kSessionsMax suffices for all.
  [[nodiscard]] bool submit(HandshakeJob&& job) { return jobs_.push(std::move(job)); }

 private:
  void run();
  void stop();

  Mailbox<WorkerResult>& results_;
  JobQueue<HandshakeJob> jobs_;
  std::vector<std::thread> threads_;
};

}  // namespace tlsmux::engine
