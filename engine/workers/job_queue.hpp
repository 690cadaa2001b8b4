#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace tlsmux::engine {

// Jobs from any number of threads for any number of threads, first in first out, bounded. Off the data path.
template <typename Job>
class JobQueue {
 public:
  explicit JobQueue(std::size_t jobs_max) : jobs_max_(jobs_max) {}

  // Any thread; does not wait. False when the queue is full or closed: `job` is then untouched.
  [[nodiscard]] bool push(Job&& job) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || jobs_.size() >= jobs_max_) return false;
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
    return true;
  }

  // Any thread. Waits for a job; nothing once the queue is closed.
  std::optional<Job> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
    if (closed_) return std::nullopt;
    std::optional<Job> job(std::move(jobs_.front()));
    jobs_.pop_front();
    return job;
  }

  // Any thread. Drops the jobs that nobody has taken and ends every pop(), now and later.
  void close() {
    std::deque<Job> dropped;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      dropped.swap(jobs_);
    }
    changed_.notify_all();
  }

 private:
  const std::size_t jobs_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool closed_ = false;
};

}  // namespace tlsmux::engine
