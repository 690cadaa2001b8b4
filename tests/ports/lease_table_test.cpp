#include <doctest/doctest.h>

#include <memory>

#include "ports/book/lease_table.hpp"

using namespace tlsmux;
using ports::Port;
using ports::Protocol;

namespace {

struct Rig {
  std::unique_ptr<shm::PortLeases> words = std::make_unique<shm::PortLeases>();
  ports::LeaseTable table{*words};

  std::optional<std::uint16_t> take() const { return shm::take_lease(words->tcp); }
};

constexpr Port tcp(std::uint16_t number) { return {Protocol::tcp, number}; }

}  // namespace

TEST_CASE("ports.lease: what is offered is taken once, and the engine sees it once") {
  Rig rig;
  CHECK_FALSE(rig.take());
  rig.table.offer(tcp(1000));
  rig.table.offer(tcp(1001));
  rig.table.offer({Protocol::udp, 1000});
  CHECK(rig.table.offered(Protocol::tcp) == 2);
  CHECK(rig.take() == 1000);
  CHECK(rig.take() == 1001);
  CHECK_FALSE(rig.take());
  const auto news = rig.table.look();
  CHECK(news.taken == std::vector{tcp(1000), tcp(1001)});
  CHECK(news.returned.empty());
  CHECK_FALSE(news.is_rule_broken);
  CHECK(rig.table.look().taken.empty());
  CHECK(rig.table.offered(Protocol::tcp) == 0);
  CHECK(rig.table.offered(Protocol::udp) == 1);
}

TEST_CASE("ports.lease: what is taken back cannot be taken, and what was taken is not taken back") {
  Rig rig;
  for (std::uint16_t port = 1000; port < 1004; ++port) rig.table.offer(tcp(port));
  CHECK(rig.take() == 1000);
  CHECK(rig.table.take_back(Protocol::tcp, 2).returned == std::vector{tcp(1003), tcp(1002)});
  CHECK(rig.table.take_back_port(tcp(1002)).returned.empty());
  CHECK(rig.table.take_back_port(tcp(1001)).returned == std::vector{tcp(1001)});
  const auto news = rig.table.take_back(Protocol::tcp);
  CHECK(news.returned.empty());
  CHECK(news.taken == std::vector{tcp(1000)});
  CHECK_FALSE(rig.take());
}

TEST_CASE("ports.lease: as many words as there are") {
  Rig rig;
  std::uint16_t port = 1000;
  while (rig.table.has_room(Protocol::tcp)) rig.table.offer(tcp(port++));
  CHECK(rig.table.offered(Protocol::tcp) == config::kPortLeasesMax);
  CHECK(rig.take() == 1000);
  CHECK(rig.table.look().taken.size() == 1);
  rig.table.offer(tcp(port));
  CHECK(rig.take() == port);
}

TEST_CASE(
    "ports.lease: a word of an older offer, of another port or of nonsense breaks the rule, and its port is taken") {
  constexpr shm::PortLease kOffer{.generation = 1, .port = 1000, .state = shm::LeaseState::offered};
  auto older = kOffer;
  older.generation = 0;
  auto other = kOffer;
  other.port = 1001;
  other.state = shm::LeaseState::taken;
  auto empty = kOffer;
  empty.state = shm::LeaseState::empty;
  for (const auto word : {shm::pack(older), shm::pack(other), shm::pack(empty), std::uint64_t{0}, ~std::uint64_t{0},
                          shm::pack(kOffer) | std::uint64_t{1} << 24}) {
    for (const bool takes_back : {false, true}) {
      Rig rig;
      rig.table.offer(tcp(1000));
      REQUIRE(rig.words->tcp[0] == shm::pack(kOffer));
      rig.words->tcp[0] = word;
      const auto news = takes_back ? rig.table.take_back(Protocol::tcp) : rig.table.look();
      CHECK(news.is_rule_broken);
      CHECK(news.taken == std::vector{tcp(1000)});
      CHECK(news.returned.empty());
      CHECK(rig.table.offered(Protocol::tcp) == 0);
    }
  }
}

TEST_CASE("ports.lease: words that hold no offer may hold anything") {
  Rig rig;
  for (auto& word : rig.words->tcp) word = ~std::uint64_t{0};
  CHECK_FALSE(rig.table.look().is_rule_broken);
  rig.table.offer(tcp(1000));
  CHECK_FALSE(rig.table.look().is_rule_broken);
  CHECK(rig.take() == 1000);
}
