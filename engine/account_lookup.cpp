#include "engine/account_lookup.hpp"

#include <pthread.h>

#include <utility>

#include "engine/confinement/confinement.hpp"

namespace tlsmux::engine {

AccountLookup::AccountLookup() : thread_([this] { run(); }) {}

AccountLookup::~AccountLookup() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::expected<config::Membership, config::ConfigErrors> AccountLookup::membership(const config::GroupSettings& group,
                                                                                  std::string_view pointer) {
  Job job{.group = group, .pointer = pointer};
  std::unique_lock lock(mutex_);
  job_ = &job;
  changed_.notify_all();
  changed_.wait(lock, [&] { return job.is_done; });
  return std::move(job.result);
}

void AccountLookup::run() {
  ::pthread_setname_np(::pthread_self(), "tmx-accounts");
  confinement::enter_thread(confinement::ThreadKind::resolver);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_closed_ || job_ != nullptr; });
    if (is_closed_) return;
    auto& job = *std::exchange(job_, nullptr);
    job.result = config::resolve_membership(job.group, job.pointer);
    job.is_done = true;
    changed_.notify_all();
  }
}

}  // namespace tlsmux::engine
