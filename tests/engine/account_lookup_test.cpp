#include "engine/account_lookup.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using namespace tlsmux;
using engine::AccountLookup;

namespace {

constexpr std::chrono::milliseconds kShort{1};
constexpr std::chrono::seconds kLong{20};

// A directory that is silent until it is let go.
struct Directory {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_silent = true;
  int ended = 0;

  AccountLookup::Answer answer(uid_t uid) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return !is_silent; });
    ++ended;
    changed.notify_all();
    return config::Membership{.users = {uid}, .groups = {}};
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    is_silent = false;
    changed.notify_all();
  }
  void await_end() {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, kLong, [this] { return ended != 0; }));
  }
};

config::GroupSettings group_of(const std::string& name) {
  config::GroupSettings group;
  group.name = name;
  return group;
}

}  // namespace

TEST_CASE("engine.accounts that nobody tells in time are an error, and nobody waits behind it") {
  const auto directory = std::make_shared<Directory>();
  AccountLookup accounts([directory](const config::GroupSettings&, std::string_view) { return directory->answer(7); });
  const auto first = accounts.membership(group_of("A"), "/groups/0", kShort);
  REQUIRE(!first);
  REQUIRE(first.error().size() == 1);
  CHECK(first.error()[0].pointer == "/groups/0");
  CHECK(first.error()[0].message.find("account database") != std::string::npos);
  directory->let_go();
  // Whether it had begun or not: sooner or later there is an answer again.
  auto next = accounts.membership(group_of("B"), "/groups/1", kLong);
  for (int i = 0; !next && i < 100'000; ++i) next = accounts.membership(group_of("B"), "/groups/1", kLong);
  REQUIRE(next);
  CHECK(next->users == std::vector<uid_t>{7});
}

TEST_CASE("engine.accounts whose directory is silent do not keep the engine from ending") {
  const auto directory = std::make_shared<Directory>();
  const auto begun = std::make_shared<Directory>();
  {
    AccountLookup accounts([directory, begun](const config::GroupSettings&, std::string_view) {
      begun->let_go();
      return directory->answer(7);
    });
    auto refused = accounts.membership(group_of("A"), "/groups/0", kShort);
    CHECK(!refused);
    // Until the thread has taken one, each is only given up.
    for (bool is_busy = false; !is_busy;) {
      refused = accounts.membership(group_of("A"), "/groups/0", kShort);
      REQUIRE(!refused);
      is_busy = refused.error()[0].message.find("still owes") != std::string::npos;
    }
    static_cast<void>(begun->answer(0));
  }
  directory->let_go();
  directory->await_end();
}

TEST_CASE("engine.accounts whose lookup throws are an error") {
  AccountLookup accounts([](const config::GroupSettings&, std::string_view) -> AccountLookup::Answer {
    throw std::runtime_error("out of something");
  });
  for (int i = 0; i < 2; ++i) {
    const auto answer = accounts.membership(group_of("A"), "/groups/0");
    REQUIRE(!answer);
    CHECK(answer.error()[0].message == "out of something");
  }
}
