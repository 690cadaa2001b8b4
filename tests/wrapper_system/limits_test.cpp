// More than the engine has room for: the program's own connection, or a refusal, and a reason.

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/system/await.hpp"
#include "tests/wrapper_system/world.hpp"

namespace tlsmux::test {
namespace {

const std::string kNotShared = "libtlsmux_ssl: a connection is not shared: ";

// One that has had an exchange, and stays.
std::unique_ptr<Program> holder(const World& world, const std::string& mode = "shared") {
  const std::string message = "0021of-one-who-stayshello";
  const Calls exchange{"text", message, "all", std::to_string(message.size())};
  auto program = std::make_unique<Program>(world.script(exchange + Calls{"hear"} + exchange), world.environment(mode));
  program->lines_to("hear");
  return program;
}

void check_goes_on(Program& program) {
  program.go();
  CHECK(program.rest().starts_with("text: 25 NONE shutdown 0\nall: 25 "));
  CHECK(program.wait() == 0);
}

// No more than those free numbers that are between the ones in use.
void limit_descriptors(pid_t pid) {
  rlimit limit{};
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) == 0);
  limit.rlim_cur = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, std::stoul(entry.path().filename().string()) + 1);
  }
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr) == 0);
}

void check_why(const std::string& errors) {
  INFO(errors);
  CHECK(errors.starts_with(kNotShared));
  CHECK(errors.find('\n') == errors.size() - 1);
  const bool says_why = errors.contains("Too many open files") || errors.contains("no descriptors left");
  CHECK(says_why);
}

}  // namespace

TEST_CASE("faults.streams beyond open_max are the program's own connections, or refused, and say why") {
  World world({{.protocol = Protocol::messages,
                .change = [](config::UpstreamSettings& upstream) { upstream.streams.open_max = 2; }}});
  const auto first = holder(world);
  const auto second = holder(world);
  Program may(world.exchange("the-third1", 2), world.environment("auto"));
  CHECK(may.wait() == 0);
  CHECK(may.errors() ==
        kNotShared + "the upstream has all its 2 streams: raise its streams/open_max in the configuration\n");
  CHECK(world.host().counts().handshakes == 2);
  Program must(world.script({}), world.environment("shared"));
  CHECK(must.rest() == "connect: ok\nhandshake: -1 SYSCALL ECONNREFUSED shutdown 0\n");
  CHECK(must.wait() == 0);
  check_goes_on(*first);
  await([&] { return Program(world.exchange("the-fourth", 2), world.environment("shared")).wait() == 0; });
  check_goes_on(*second);
  CHECK(world.host().counts().handshakes == 2);
}

TEST_CASE("faults.an engine without descriptors refuses streams, serves those that it has, and recovers") {
  if (skip_without_root("nobody else counts the descriptors of an engine, not its own user either")) return;
  World world({{.protocol = Protocol::messages}});
  std::vector<std::unique_ptr<Program>> holders;
  while (holders.size() < 8) holders.push_back(holder(world));
  limit_descriptors(world.engine().engine_pid());
  std::uint64_t unshared = 0;
  const auto hold_one_more = [&] {
    REQUIRE(holders.size() < 100);
    holders.push_back(holder(world, "auto"));
    if (holders.back()->errors().empty()) return true;
    check_why(holders.back()->errors());
    ++unshared;
    return false;
  };
  while (hold_one_more()) continue;
  // A descriptor that was in use for a moment may be free again: then one more program takes it.
  const auto is_unshared = [&] {
    Program may(world.exchange("one-moreof", 2), world.environment("auto"));
    CHECK(may.wait() == 0);
    if (may.errors().empty()) return false;
    check_why(may.errors());
    ++unshared;
    return true;
  };
  const auto is_refused = [&] {
    Program must(world.script({}), world.environment("shared"));
    const auto said = must.rest();
    CHECK(must.wait() == 0);
    return said == "connect: ok\nhandshake: -1 SYSCALL ECONNREFUSED shutdown 0\n";
  };
  while (!is_unshared()) hold_one_more();
  while (!is_refused()) hold_one_more();
  CHECK(world.host().counts().handshakes == 1 + unshared);
  for (const auto& program : holders) check_goes_on(*program);
  await([&] { return Program(world.exchange("first-next", 2), world.environment("shared")).wait() == 0; });
  CHECK(world.host().counts().handshakes == 1 + unshared);
  CHECK(world.host().counts().nonsense == 0);
}

}  // namespace tlsmux::test
