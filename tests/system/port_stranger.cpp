#include "tests/system/port_stranger.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <random>
#include <utility>

#include <doctest/doctest.h>

#include "tests/support/seed.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_user.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kKept = 32;

struct Tally {
  std::atomic<std::uint64_t> tries;
  std::atomic<std::uint64_t> got;     // a port of a group
  std::atomic<std::uint64_t> failed;  // in another way than it should
  std::atomic<std::uint16_t> port;    // got last
  std::atomic<int> error;             // of the last one that failed
};

void complain(std::vector<std::string>& complaints, const Tally& tally, const std::string& what) {
  if (tally.got != 0) {
    complaints.push_back(what + " got " + std::to_string(tally.got) + " ports of a group, such as " +
                         std::to_string(tally.port));
  }
  if (tally.failed != 0) {
    complaints.push_back(what + " failed " + std::to_string(tally.failed) + " times: " + std::strerror(tally.error));
  }
}

// A connection of its goes without lingering.
void close_hard(int socket) {
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

}  // namespace

struct PortStranger::Tallies {
  std::atomic<std::uint64_t> rounds;
  Tally by_number;
  std::array<Tally, kChoosingCalls.size()> by_choice;
};

void PortStranger::Unmap::operator()(Tallies* tallies) const { ::munmap(tallies, sizeof(Tallies)); }

// The process's own side.
class PortStranger::Work {
 public:
  Work(Tallies& tallies, const ports::PortSet& others, ports::PortSet all)
      : tallies_(tallies), all_(all), random_(seed() + static_cast<std::uint64_t>(::getpid())) {
    for (std::uint32_t port = 0; port <= 0xffff; ++port) {
      if (others.contains(static_cast<std::uint16_t>(port))) others_.push_back(static_cast<std::uint16_t>(port));
    }
    listener_ = listening_socket({.family = AF_INET6});  // for both families
    receiver_ = bound_socket({.family = AF_INET6, .type = SOCK_DGRAM});
  }

  [[noreturn]] void run() {
    while (true) {
      const auto& kind = kSocketKinds[random_() % kSocketKinds.size()];
      bind_one(kind, others_[random_() % others_.size()]);
      for (const auto call : kChoosingCalls) {
        const bool is_right_type = fits(call, kind);
        choose(call, is_right_type ? kind : SocketKind{.family = kind.family, .type = other_type(kind.type)});
      }
      ++tallies_.rounds;
      ::poll(nullptr, 0, 1);  // some of these must not have all of the machine
    }
  }

 private:
  static int other_type(int type) { return type == SOCK_STREAM ? SOCK_DGRAM : SOCK_STREAM; }

  void bind_one(const SocketKind& kind, std::uint16_t port) {
    const auto socket = make_socket(kind);
    const int error = bind_socket(socket.get(), port);
    auto& tally = tallies_.by_number;
    ++tally.tries;
    if (error == 0) {
      tally.port = port;
      ++tally.got;
    } else if (error != EACCES) {
      tally.error = error;
      ++tally.failed;
    }
  }
  void choose(ChoosingCall call, const SocketKind& kind) {
    const bool is_tcp = kind.type == SOCK_STREAM;
    auto chosen = choose_port(call, kind, local_port(is_tcp ? listener_.get() : receiver_.get()));
    auto& tally = tallies_.by_choice[static_cast<std::size_t>(call)];
    ++tally.tries;
    if (chosen.error != 0) {
      tally.error = chosen.error;
      ++tally.failed;
      return;
    }
    if (call == ChoosingCall::connect && is_tcp) accepted_socket(listener_.get());
    close_hard(chosen.socket.get());
    if (all_.contains(chosen.port)) {
      tally.port = chosen.port;
      ++tally.got;
    }
    kept_[next_++ % kKept] = std::move(chosen.socket);
  }

  Tallies& tallies_;
  std::vector<std::uint16_t> others_;
  ports::PortSet all_;
  std::mt19937_64 random_;
  shm::UniqueFd listener_;
  shm::UniqueFd receiver_;
  std::array<shm::UniqueFd, kKept> kept_;
  std::size_t next_ = 0;
};

PortStranger::PortStranger(const PortScene& scene, const Identity& who, const ports::PortSet& others)
    : who_("user " + std::to_string(who.uid)) {
  void* const memory = ::mmap(nullptr, sizeof(Tallies), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  tallies_.reset(::new (memory) Tallies{});
  process_ = std::make_unique<ChildProcess>([&]() -> int {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    scene.enter(who);
    auto all = scene.ports_of(0);
    all |= scene.ports_of(1);
    try {
      Work(*tallies_, others, all).run();
    } catch (...) {  // doctest's, printed already: goes_on() fails
      return 1;
    }
  });
  goes_on();
}

PortStranger::~PortStranger() = default;

void PortStranger::goes_on() const {
  const auto until = tallies_->rounds + 2;
  await([&] { return tallies_->rounds >= until; });
}

std::uint64_t PortStranger::tries() const { return tallies_->rounds; }

std::uint64_t PortStranger::got_by_number() const { return tallies_->by_number.got; }

std::uint64_t PortStranger::got_by(ChoosingCall call) const {
  return tallies_->by_choice[static_cast<std::size_t>(call)].got;
}

std::vector<std::string> PortStranger::complaints() const {
  std::vector<std::string> complaints;
  complain(complaints, tallies_->by_number, who_ + ", by bind to a number,");
  for (const auto call : kChoosingCalls) {
    complain(complaints, tallies_->by_choice[static_cast<std::size_t>(call)], who_ + ", by " + name(call) + ",");
  }
  return complaints;
}

}  // namespace tlsmux::test
