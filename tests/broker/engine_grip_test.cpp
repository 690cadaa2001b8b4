// What an engine can do to keep its broker from working, and what a broker can do that may not signal its engine.

#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "engine/broker/broker_protocol.hpp"
#include "shm/system/descriptor_refusal.hpp"
#include "shm/system/pidfd.hpp"
#include "shm/system/seqpacket.hpp"
#include "tests/broker/broker_process.hpp"
#include "tests/broker/lingering_socket.hpp"

using namespace tlsmux;
using test::BrokerProcess;
using test::LingeringSocket;

namespace {

constexpr std::array<std::byte, 8> kNonsense{};

bool give_up(std::initializer_list<unsigned> capabilities) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  for (const auto capability : capabilities) {
    sets[0].effective &= ~(1U << capability);
    sets[0].permitted &= ~(1U << capability);
    if (::prctl(PR_CAPBSET_DROP, capability) != 0) return false;
  }
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

bool give_up_signalling() { return give_up({CAP_KILL}); }

config::Config config_of_nobody(const test::TemporaryFolder& folder) {
  auto config = test::broker_config(folder);
  config.engine.user = "nobody";
  return config;
}

// As before Linux 6.16. From the engine, which is still root and may look into its broker.
bool let_broker_take_descriptors() {
  const auto broker = shm::open_pidfd(::getppid());
  int changed = 0;
  for (int number = 3; number < 64; ++number) {
    const shm::UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, broker.get(), number, 0)));
    int type = 0;
    int listens = 0;
    socklen_t size = sizeof type;
    if (!copy || ::getsockopt(copy.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) continue;
    if (::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 0) continue;
    const int takes = 1;
    ::setsockopt(copy.get(), SOL_SOCKET, SO_PASSRIGHTS, &takes, sizeof takes);
    if (!shm::refuses_descriptors(copy.get())) ++changed;
  }
  return changed > 0;  // two while the broker still has the engine's end
}

}  // namespace

TEST_CASE("hostile.broker takes no descriptor from its engine") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, [](const config::Config& settings, engine::EngineResources resources) {
    const auto sent = shm::send_packet(resources.broker_socket.get(), kNonsense, std::array{STDERR_FILENO});
    // EPERM: the kernel says so. Else the broker does, by its answer to what is no request.
    if (!sent && sent.error().code != EPERM) return 20;
    if (sent && !shm::receive_packet(resources.broker_socket.get())) return 21;
    return test::serve_until_told(settings, std::move(resources));
  });
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("hostile.broker is not kept by descriptors whose closing takes its time, read or not, before Linux 6.16") {
  if (test::skip_without_root("an engine that looks into its broker")) return;
  const test::TemporaryFolder folder;
  auto config = test::broker_config(folder);
  config.engine.confinement = config::Confinement::off;  // the engine here does what it would be ended for
  BrokerProcess broker(config, [](const config::Config& settings, engine::EngineResources resources) {
    if (resources.restarts > 1) return test::serve_until_told(settings, std::move(resources));
    if (!let_broker_take_descriptors()) return 20;
    const int messages = resources.restarts == 0 ? 1 : 3;
    const auto broker_pid = ::getppid();
    ::kill(broker_pid, SIGSTOP);
    for (int i = 0; i < messages; ++i) {
      const bool is_sent = LingeringSocket().give_away([&](int descriptor) {
        return shm::send_packet(resources.broker_socket.get(), kNonsense, std::array{descriptor}).has_value();
      });
      if (!is_sent) return 21;
    }
    if (resources.restarts != 0) {
      // It is dead before the broker goes on, which finds more than it reads.
      const auto engine = shm::open_pidfd(::getpid());
      const pid_t wakes = ::fork();
      if (wakes == 0) {
        resources.broker_socket.reset();
        pollfd dies{.fd = engine.get(), .events = POLLIN, .revents = 0};
        while (::poll(&dies, 1, -1) < 0) continue;
        ::kill(broker_pid, SIGCONT);
        ::_exit(0);
      }
      ::raise(SIGKILL);
    }
    ::kill(broker_pid, SIGCONT);
    const auto answer = shm::receive_packet(resources.broker_socket.get());
    return answer && !answer->bytes.empty() ? 99 : 22;
  });
  for (const auto* end : {"exit code 99", "signal 9"}) {
    const auto line = broker.log().wait_for("event=engine_died");
    CHECK_MESSAGE(line.find(end) != std::string::npos, line);
  }
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker without CAP_KILL says so and stops its engine all the same") {
  if (test::skip_without_root("switches users")) return;
  const test::TemporaryFolder folder;
  const auto config = config_of_nobody(folder);
  BrokerProcess broker(config, test::serve_until_told, give_up_signalling);
  const auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  broker.process().send_signal(SIGHUP);
  const auto refresh = broker.log().wait_for("event=privilege_missing what=signal_to_engine");
  CHECK(test::value_in(refresh, "signal") == "SIGHUP");
  CHECK(test::value_in(refresh, "needs").find("CAP_KILL") != std::string::npos);
  CHECK(broker.stop() == engine::kExitClean);
  const auto log = broker.log().rest();
  CHECK(log.find("what=signal_to_engine signal=SIGTERM") != std::string::npos);
  CHECK(log.find("event=engine_killed") == std::string::npos);
  CHECK(test::wait_for_end(engine));
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("engine.broker without CAP_KILL ends when it cannot start, its engine too") {
  if (test::skip_without_root("switches users")) return;
  const test::TemporaryFolder folder;
  const auto config = config_of_nobody(folder);
  BrokerProcess first(config, test::serve_until_told);
  first.log().wait_for("event=engine_serving");
  auto other_group = config;
  other_group.groups[0].name = test::unique_group();
  BrokerProcess second(
      other_group,
      [](const config::Config&, const engine::EngineResources& resources) {
        test::wait_for_order(resources);
        return engine::kExitClean;
      },
      give_up_signalling);
  const auto engine = second.engine_pid();
  CHECK(second.wait() == engine::kExitCannotStart);
  CHECK(second.log().rest().find("a live tlsmuxd answers") != std::string::npos);
  CHECK(test::wait_for_end(engine));
  CHECK(first.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker without CAP_KILL does not say that it has killed an engine") {
  if (test::skip_without_root("switches users")) return;
  const test::TemporaryFolder folder;
  const auto config = config_of_nobody(folder);
  BrokerProcess broker(
      config,
      [](const config::Config&, const engine::EngineResources& resources) {
        engine::broker::BrokerClient client(resources.broker_socket.get());
        if (!client.report_serving()) return 1;
        while (true) ::pause();
      },
      give_up_signalling);
  const auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  broker.process().send_signal(SIGTERM);
  broker.log().wait_for("signal=SIGKILL");
  REQUIRE(::kill(engine, SIGKILL) == 0);
  CHECK(broker.wait() == engine::kExitClean);
  CHECK(broker.log().rest().find("event=engine_killed") == std::string::npos);
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("engine.broker that may not make its engine another user says what it needs") {
  if (test::skip_without_root("gives root's rights up")) return;
  const test::TemporaryFolder folder;
  BrokerProcess broker(config_of_nobody(folder), test::serve_until_told,
                       [] { return give_up({CAP_SETUID, CAP_SETGID}); });
  const auto line = broker.log().wait_for("event=engine_user_failed");
  for (const auto* needed : {"CAP_SETUID", "CAP_SETGID", "--cap-add"}) {
    CHECK_MESSAGE(test::value_in(line, "needs").find(needed) != std::string::npos, line);
  }
  CHECK(broker.wait() == engine::kExitCannotStart);
}

TEST_CASE("engine.broker that gets no timer against long closes says so") {
  const test::TemporaryFolder folder;
  BrokerProcess broker(test::broker_config(folder), test::serve_until_told, [] {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    return ::setrlimit(RLIMIT_SIGPENDING, &none) == 0;
  });
  CHECK(broker.log().wait_for("event=linger_limit_missing").find("LimitSIGPENDING=") != std::string::npos);
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}
