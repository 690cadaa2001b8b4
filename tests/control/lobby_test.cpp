#include "engine/control/lobby.hpp"

#include <doctest/doctest.h>

using tlsmux::engine::control::Lobby;

namespace {

const Lobby::Clock::time_point kNow{std::chrono::hours(1)};

}  // namespace

TEST_CASE("engine.lobby lets a user in until his share is used up") {
  Lobby lobby;
  Lobby::Id id = 0;
  for (std::size_t i = 0; i < Lobby::kConnectionsPerUserMax; ++i) CHECK(!lobby.enter(++id, 7, kNow));
  CHECK(lobby.enter(++id, 7, kNow) == id);
  lobby.leave(id);
  CHECK(!lobby.enter(++id, 8, kNow));
  lobby.leave(1);
  CHECK(!lobby.enter(++id, 7, kNow));
}

TEST_CASE("engine.lobby that is full puts out the newest of the greediest user") {
  Lobby lobby;
  Lobby::Id id = 0;
  constexpr std::uint32_t kUsers = Lobby::kConnectionsMax / Lobby::kConnectionsPerUserMax;
  for (std::uint32_t uid = 0; uid < kUsers; ++uid) {
    for (std::size_t i = 0; i < Lobby::kConnectionsPerUserMax; ++i) CHECK(!lobby.enter(++id, uid, kNow));
  }
  lobby.leave(id);  // now the last user has one less than the others, of whom user 2 came last
  CHECK(!lobby.enter(++id, 100, kNow));
  const auto put_out = lobby.enter(++id, 101, kNow);
  REQUIRE(put_out);
  CHECK(*put_out == (kUsers - 1) * Lobby::kConnectionsPerUserMax);
}

TEST_CASE("engine.lobby does not count members that map their memory but keeps their time") {
  Lobby lobby;
  Lobby::Id id = 0;
  for (std::size_t i = 0; i < Lobby::kConnectionsPerUserMax; ++i) {
    lobby.enter(++id, 7, kNow);
    lobby.admit(id, kNow);
  }
  CHECK(!lobby.enter(++id, 7, kNow));
  CHECK(lobby.newest() == id);
  lobby.leave(id);
  CHECK(!lobby.newest());
  CHECK(lobby.next_deadline() == kNow + Lobby::kTimeToMap);
}

TEST_CASE("engine.lobby names those whose time is over") {
  Lobby lobby;
  CHECK(!lobby.next_deadline());
  lobby.enter(1, 7, kNow);
  lobby.enter(2, 7, kNow + std::chrono::seconds(1));
  CHECK(lobby.next_deadline() == kNow + Lobby::kTimeToAsk);
  CHECK(lobby.expired(kNow).empty());
  CHECK(lobby.expired(kNow + Lobby::kTimeToAsk) == std::vector<Lobby::Id>{1});
  lobby.admit(1, kNow);
  CHECK(lobby.expired(kNow + Lobby::kTimeToAsk).empty());
  CHECK(lobby.expired(kNow + Lobby::kTimeToMap).size() == 2);
}
