#include "engine/account_lookup.hpp"

#include <pthread.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "engine/confinement/confinement.hpp"

namespace tlsmux::engine {
namespace {

AccountLookup::Answer no_answer(std::string_view pointer, std::string why) {
  return std::unexpected(config::ConfigErrors{{.pointer = std::string(pointer), .message = std::move(why)}});
}

}  // namespace

struct AccountLookup::State {
  struct Job {
    config::GroupSettings group;
    std::string pointer;
    std::optional<Answer> answer{};
  };

  explicit State(Lookup function) : lookup(std::move(function)) {}

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return is_closed || waiting; });
      if (is_closed) return;
      const auto job = std::exchange(waiting, nullptr);
      is_busy = true;
      lock.unlock();
      auto answer = look_up(*job);
      lock.lock();
      is_busy = false;
      job->answer = std::move(answer);
      changed.notify_all();
    }
  }

  [[nodiscard]] Answer look_up(const Job& job) const {
    try {
      return lookup(job.group, job.pointer);
    } catch (const std::exception& failure) {
      return no_answer(job.pointer, failure.what());
    }
  }

  const Lookup lookup;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::shared_ptr<Job> waiting;
  bool is_busy = false;
  bool is_closed = false;
};

AccountLookup::AccountLookup(Lookup lookup) : state_(std::make_shared<State>(std::move(lookup))) {
  thread_ = std::thread([state = state_] {
    ::pthread_setname_np(::pthread_self(), "tmx-accounts");
    confinement::enter_thread(confinement::ThreadKind::resolver, "accounts");
    state->run();
  });
}

AccountLookup::~AccountLookup() {
  bool is_blocked = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_closed = true;
    is_blocked = state_->is_busy;
  }
  state_->changed.notify_all();
  if (is_blocked) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

AccountLookup::Answer AccountLookup::membership(const config::GroupSettings& group, std::string_view pointer,
                                                std::optional<std::chrono::milliseconds> patience) {
  const std::string database = "the machine's account database (nsswitch.conf: files, LDAP and the like)";
  const auto job = std::make_shared<State::Job>(group, std::string(pointer));
  std::unique_lock lock(state_->mutex);
  if (state_->is_busy) return no_answer(pointer, database + " still owes an earlier answer; try again when it works");
  state_->waiting = job;
  state_->changed.notify_all();
  const auto is_answered = [&] { return job->answer.has_value(); };
  if (!patience) {
    state_->changed.wait(lock, is_answered);
  } else if (!state_->changed.wait_for(lock, *patience, is_answered)) {
    state_->waiting.reset();
    return no_answer(pointer, database + " does not say within " + std::to_string(patience->count()) +
                                  " ms who the group's members are; try again when it works");
  }
  return *std::move(job->answer);
}

}  // namespace tlsmux::engine
