// The `tlsmux` command where what answers, or has left tables, is no engine of root's.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include <doctest/doctest.h>

#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/seqpacket.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/client/held_lock.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/command.hpp"

using namespace tlsmux;
using namespace tlsmux::test;

namespace {

constexpr uid_t kStranger = 4321;
constexpr std::uint32_t kEnginePid = 4711;

std::string run(const std::string& command, const FakeEngineOptions& engine) {
  return run_tlsmux(command + " --control-socket " + engine.control_socket).text;
}

// Refuses the next question with these words.
class Refuser {
 public:
  Refuser(const std::string& path, const std::string& words) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    listener_ = shm::UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(listener_.get() >= 0);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    thread_ = std::jthread([this, words] {
      const shm::UniqueFd connection(::accept(listener_.get(), nullptr, nullptr));
      static_cast<void>(shm::wait_readable(connection.get(), -1));
      static_cast<void>(shm::receive_packet(connection.get()));
      shm::Refusal refusal{.header = {}, .error = EACCES};
      shm::set_text(refusal.text, words);
      static_cast<void>(shm::send_message(connection.get(), refusal));
    });
  }

  ~Refuser() { ::shutdown(listener_.get(), SHUT_RDWR); }  // if nobody has asked
  Refuser(const Refuser&) = delete;
  Refuser& operator=(const Refuser&) = delete;

 private:
  shm::UniqueFd listener_;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("client.status of tables that a stranger left says whose they are") {
  if (::geteuid() != 0) return skip("root alone gives a file away");
  const FakeEngineNames names;
  const auto engine = names.options();
  const shm::GroupTables tables{.clients = 1, .upstreams = 1, .port_summaries = 1};
  const auto object = shm::create_group_object(engine.group, tables.total_bytes());
  REQUIRE(object.has_value());
  {
    const auto mapping = shm::Mapping::map(object->get(), tables.total_bytes(), shm::Access::read_write);
    REQUIRE(mapping.has_value());
    shm::GroupPart::format(mapping->bytes(), tables, {.group = engine.group, .boot_id = {}, .engine_pid = kEnginePid});
  }
  for (const auto* const command : {"status", "ports"}) {
    const auto ask = [&] { return run(std::string(command) + " --group " + engine.group, engine); };
    REQUIRE(::fchown(object->get(), 0, 0) == 0);
    CHECK(ask().contains("no engine answers on the control socket; this is what the last one wrote\n"));
    REQUIRE(::fchown(object->get(), kStranger, 0) == 0);
    const auto text = ask();
    CHECK_MESSAGE(text.contains("no engine answers on the control socket; these tables are of user 4321, and made up"),
                  text);
  }
  // It is the configured engine's user where root's lock names the tables' engine.
  const HeldLock lock(engine.group);
  const auto ask = [&] { return run("status --group " + engine.group, engine); };
  lock.name_holder(kEnginePid + 1);
  CHECK(ask().contains("these tables are of user 4321, and made up"));
  lock.name_holder(kEnginePid);
  CHECK(ask().contains("no engine answers on the control socket; this is what the last one wrote\n"));
}

TEST_CASE("client.refusals give the terminal of an administrator's command no orders") {
  for (const auto* const command : {"status", "ports", "refresh", "drain HOST"}) {
    const FakeEngineNames names;
    const auto engine = names.options();
    const Refuser refuser(engine.control_socket, "no\x1b[2J\xc2\x9b entry");
    const auto text = run(command, engine);
    CHECK_MESSAGE(text.contains(R"(: no\x1b[2J\xc2\x9b entry)"), text);
    CHECK_FALSE(text.contains('\x1b'));
    CHECK_FALSE(text.contains('\x9b'));
  }
}
