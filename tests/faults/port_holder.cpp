#include "tests/faults/port_holder.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <tlsmux/ports.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <random>
#include <utility>

#include <doctest/doctest.h>

#include "tests/system/await.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/port_user.hpp"
#include "tests/system/proc_files.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kSocketsMax = 5;
constexpr pid_t kBeingMade = -1;

// The process's own side.
class Holder {
 public:
  Holder(ClaimLog& log, const HolderPlan& plan, std::atomic<pid_t>& heir)
      : log_(log), plan_(plan), heir_(heir), random_(plan.seed) {}

  [[noreturn]] void run() {
    for (std::uint32_t actions = 1;; ++actions) {
      const auto action = random_() % 100;
      if (action < 55) {
        take();
      } else if (action < 70) {
        listen_on_one();
      } else {
        give_back();
      }
      if (actions == plan_.actions_before_heir) bequeath();
      ::poll(nullptr, 0, static_cast<int>(random_() % 4));  // twenty at once must not have all of the machine
    }
  }

 private:
  struct Held {
    shm::UniqueFd socket;
    ports::Port port;
    std::string type;
  };

  // What an application must expect: the port is taken, none is free, no engine, one that has just died.
  [[nodiscard]] bool is_expected(int error) const {
    return error == EADDRINUSE || error == ECONNREFUSED || error == ETIMEDOUT ||
           (error == EACCES && plan_.must_be_admitted);
  }
  std::string port_type() {
    const auto choice = random_() % 10;
    if (choice == 0) return "static:" + plan_.static_label;
    if (choice == 1) return "dynamic:" + plan_.own_label;
    return "dynamic";
  }
  void take() {
    if (held_.size() == kSocketsMax) return;
    const auto& kind = kSocketKinds[random_() % kSocketKinds.size()];
    const auto type = port_type();
    // What is its own already it would get again.
    const bool has_it = std::ranges::any_of(held_, [&](const Held& one) { return one.type == type; });
    if (type != "dynamic" && has_it) return;
    shm::UniqueFd socket(::socket(kind.family, kind.type | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(kind.family);
    const socklen_t length = kind.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (::tmx_bind_service(socket.get(), reinterpret_cast<sockaddr*>(&address), length, plan_.service.c_str(),
                           type.c_str()) != 0) {
      if (!is_expected(errno)) log_.failed(plan_.number, errno);
      return;
    }
    const auto port = port_of(kind, ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port));
    log_.bound(plan_.number, port);
    held_.push_back({.socket = std::move(socket), .port = port, .type = type});
  }
  void listen_on_one() {
    if (held_.empty()) return;
    const auto& one = held_[random_() % held_.size()];
    if (one.port.protocol != ports::Protocol::tcp) return;
    if (::listen(one.socket.get(), 4) != 0) log_.failed(plan_.number, errno);
  }
  // Some say so, some just close.
  void give_back() {
    if (held_.empty()) return;
    const auto one = held_.begin() + static_cast<std::ptrdiff_t>(random_() % held_.size());
    log_.lets_go(plan_.number, one->port);
    if (random_() % 2 == 0 && ::tmx_release_service(one->socket.get(), plan_.service.c_str()) != 0) {
      log_.failed(plan_.number, errno);
    }
    held_.erase(one);
  }
  // From then on both leave everything as it is.
  void bequeath() {
    heir_ = kBeingMade;
    const auto heir = ::fork();
    if (heir == 0) heir_ = ::getpid();
    while (true) ::pause();
  }

  ClaimLog& log_;
  const HolderPlan& plan_;
  std::atomic<pid_t>& heir_;
  std::mt19937_64 random_;
  std::vector<Held> held_;
};

}  // namespace

PortHolder::PortHolder(const PortScene& scene, ClaimLog& log, const HolderPlan& plan)
    : log_(log), number_(plan.number) {
  void* const memory = ::mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  words_ = static_cast<Words*>(memory);
  process_ = std::make_unique<ChildProcess>([&]() -> int {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    scene.enter(plan.who);
    Holder(log, plan, words_->heir).run();
  });
}

PortHolder::~PortHolder() {
  process_.reset();
  const auto heir = words_->heir.load();
  ::munmap(words_, sizeof(Words));
  if (heir > 0) ::kill(heir, SIGKILL);  // nobody's if the test has ended it
}

void PortHolder::freeze() {
  stop_process(pid());
  if (const auto heir = await_heir(); heir > 0) stop_process(heir);
}

pid_t PortHolder::await_heir() {
  if (words_->heir != kBeingMade) return words_->heir;
  process_->send_signal(SIGCONT);
  await([&] { return words_->heir != kBeingMade; });
  stop_process(pid());
  return words_->heir;
}

pid_t PortHolder::kill() {
  stop_process(pid());
  const auto heir = await_heir();
  if (heir == 0) log_.is_about_to_end(number_);
  process_->send_signal(SIGKILL);
  CHECK(process_->wait() == 128 + SIGKILL);
  return heir > 0 ? heir : -1;
}

void PortHolder::end_heir(pid_t heir) {
  log_.is_about_to_end(number_);
  REQUIRE(::kill(heir, SIGKILL) == 0);
  CHECK(reap(heir) == 128 + SIGKILL);  // the test's since its parent is dead: see Residue
  words_->heir = 0;
}

}  // namespace tlsmux::test
