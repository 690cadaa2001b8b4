#pragma once

#include <condition_variable>
#include <expected>
#include <mutex>
#include <string_view>
#include <thread>

#include "config/identity.hpp"

namespace tlsmux::engine {

// One thread ("tmx-accounts") that looks up who the members of groups are: the C library runs modules of the machine for
// that, whose system calls the control thread may not make. Lookups are one at a time, by the thread that made it.
class AccountLookup {
 public:
  // Throws std::system_error when the thread cannot be started.
  AccountLookup();
  AccountLookup(const AccountLookup&) = delete;
  AccountLookup& operator=(const AccountLookup&) = delete;
  // Waits for the thread.
  ~AccountLookup();

  // config::resolve_membership(); blocks as long as the machine's directory does.
  std::expected<config::Membership, config::ConfigErrors> membership(const config::GroupSettings& group,
                                                                     std::string_view pointer);

 private:
  struct Job {
    const config::GroupSettings& group;
    std::string_view pointer;
    std::expected<config::Membership, config::ConfigErrors> result{};
    bool is_done = false;
  };

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Job* job_ = nullptr;
  bool is_closed_ = false;
  std::thread thread_;  // last: it starts with the others made

  void run();
};

}  // namespace tlsmux::engine
