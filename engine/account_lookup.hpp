#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "config/identity.hpp"

namespace tlsmux::engine {

// One thread ("tmx-accounts") that looks up who the members of groups are: the C library runs modules of the machine for
// that, whose system calls the control thread may not make, and which may wait for a silent directory for minutes.
class AccountLookup {
 public:
  using Answer = std::expected<config::Membership, config::ConfigErrors>;
  using Lookup = std::function<Answer(const config::GroupSettings&, std::string_view)>;

  // `lookup` may block; a call of it may go on after this object's end. Throws std::system_error when the thread cannot be started.
  explicit AccountLookup(Lookup lookup = config::resolve_membership);
  AccountLookup(const AccountLookup&) = delete;
  AccountLookup& operator=(const AccountLookup&) = delete;
  // Does not wait for a lookup that blocks: its thread is left to end by itself.
  ~AccountLookup();

  // config::resolve_membership(), by the thread that made this. Blocks for no longer than `patience`, if there is one: then the lookup
  // goes on, and until it has ended others are refused at once.
  Answer membership(const config::GroupSettings& group, std::string_view pointer,
                    std::optional<std::chrono::milliseconds> patience = std::nullopt);

 private:
  struct State;

  std::shared_ptr<State> state_;  // shared with the thread, which may live longer
  std::thread thread_;
};

}  // namespace tlsmux::engine
