// shm/port_lease.hpp and ports/book/lease_table.cpp under relaxed memory: two threads of a client take ports from two words,
// while the engine offers, looks, takes back and offers again. Nobody ever holds a port that another has.
#include "ports/book/lease_table.hpp"
#include "tests/relacy/exploration.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;
using test::Weakening;

namespace {

constexpr std::uint16_t kPorts = 3;
constexpr std::size_t kWords = 2;
constexpr std::uint16_t kFirst = 5000;

template <int takes_each, int engine_steps>
struct LeaseSuite : rl::test_suite<LeaseSuite<takes_each, engine_steps>, 3> {
  test::WatchedWords words;
  PortLeases& leases = test::made_anew<PortLeases>();
  ports::LeaseTable table{leases};
  // Of each port, as each side believes.
  unsigned taken_by_client[kPorts] = {};
  unsigned taken_says_engine[kPorts] = {};
  unsigned on_offer[kPorts] = {};
  unsigned free[kPorts] = {1, 1, 1};
  bool engine_is_done = false;
  rl::var<std::uint32_t> owner[kPorts];

  LeaseSuite() {
    for (std::size_t i = 0; i < kWords; ++i) words.watch(leases.tcp[i]);
    for (auto& each : owner) each(RL_INFO) = 0;
  }

  static std::vector<std::string> roles() { return {"client", "client", "engine"}; }
  void thread(unsigned index) { index < 2 ? be_client(index) : be_engine(); }

  void be_client(unsigned index) {
    for (int i = 0; i < takes_each; ++i) {
      const auto port = take_lease(std::span(leases.tcp).first(kWords));
      if (!port) continue;
      ++taken_by_client[*port - kFirst];
      // Two threads that both got it would race here.
      owner[*port - kFirst](RL_INFO) = index + 1;
    }
  }

  void be_engine() {
    offer_next();
    offer_next();
    for (int i = 0; i < engine_steps; ++i) {
      switch (rl::rand(3)) {
        case 0: hear(table.look()); break;
        case 1: hear(table.take_back(ports::Protocol::tcp, 1)); break;
        default: hear(table.take_back_port({ports::Protocol::tcp, kFirst})); break;
      }
      if (table.offered(ports::Protocol::tcp) < kWords) offer_next();
    }
    engine_is_done = true;
  }

  void offer_next() {
    for (std::uint16_t i = 0; i < kPorts; ++i) {
      if (free[i] == 0) continue;
      free[i] = 0;
      on_offer[i] = 1;
      return table.offer({ports::Protocol::tcp, static_cast<std::uint16_t>(kFirst + i)});
    }
  }

  void hear(const ports::LeaseNews& news) {
    RL_ASSERT(!news.is_rule_broken);
    for (const auto port : news.taken) {
      const auto i = port.number - kFirst;
      RL_ASSERT(on_offer[i] == 1);
      on_offer[i] = 0;
      ++taken_says_engine[i];
    }
    for (const auto port : news.returned) {
      const auto i = port.number - kFirst;
      RL_ASSERT(on_offer[i] == 1);
      RL_ASSERT(taken_by_client[i] == 0);
      on_offer[i] = 0;
      free[i] = 1;
    }
  }

  void after() {
    words.settle();
    hear(table.take_back(ports::Protocol::tcp));
    for (std::uint16_t i = 0; i < kPorts; ++i) {
      RL_ASSERT(taken_by_client[i] <= 1);
      RL_ASSERT(taken_by_client[i] == taken_says_engine[i]);
      RL_ASSERT(free[i] + taken_says_engine[i] == 1);
    }
  }
};

}  // namespace

TEST_CASE("relacy.port leases give each port to one side only") {
  test::check_nothing_is_found<LeaseSuite<1, 1>>("1 port each, up to 2 preemptions", test::BoundedSearch{2});
  test::check_nothing_is_found<LeaseSuite<2, 3>>("2 ports each", test::RandomSearch{100'000});
}

TEST_CASE("relacy.port leases need each of their compare-and-swaps") {
  test::check_each_order_is_needed<LeaseSuite<2, 3>>(
      20'000, {"port_lease.hpp", "lease_table.cpp"},
      {{{"client: port_lease.hpp take_lease compare_exchange(acquire)", Weakening::no_acquire},
        "the engine publishes nothing by the word; it only keeps what the thread does with the port behind its "
        "taking"}});
}
