// Memory that is locked, and left out of core dumps.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "tests/confinement/sanitizer.hpp"
#include "tests/host/host_process.hpp"
#include "tests/memory/process_memory.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr rlim_t kLimitBytes = 4U << 20;  // below what is usual, so that it can be set without privileges

// Pages of the kernel's own, which are never swapped out.
bool is_kernels(const MappedRange& range) {
  return range.name.starts_with("[v") || range.name.find("[io_uring]") != std::string::npos;
}

}  // namespace

TEST_CASE("engine.all its memory is locked, and messages are left out of core dumps") {
  if (skip_with_sanitizer() || skip_without_root("it needs CAP_IPC_LOCK")) return;
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--mode", "echo"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  Requester requester(config);
  CHECK(requester.ask("hello").outcome == TMX_ANSWERED);

  std::uint64_t undumped_bytes = 0;
  std::size_t clients = 0;
  const auto pid = engine.engine_pid();
  for (const auto& range : mapped_ranges(pid)) {
    INFO(range.name, " ", range.access, " ", range.bytes(), ": ", range.flags);
    if (!is_kernels(range) && range.access != "---p") CHECK(range.has("lo"));
    if (range.name.starts_with("/memfd:tlsmux-client")) {
      CHECK(range.has("dd"));
      ++clients;
    }
    if (range.name.empty() && range.has("dd")) undumped_bytes += range.bytes();
  }
  CHECK(clients >= 1);
  // The keys' 64 KiB, and the buffers of the io loop, of which those for receiving alone are larger.
  CHECK(undumped_bytes > (256U << 10));
  CHECK(status_kib(pid, "VmLck") > 0);

  // The client's own mapping of the same.
  const auto own = mapped_ranges(::getpid());
  const auto memory =
      std::ranges::find_if(own, [](const auto& range) { return range.name.starts_with("/memfd:tlsmux-client"); });
  REQUIRE(memory != own.end());
  CHECK(memory->has("dd"));
  CHECK(engine.log().count("event=memory_not_locked") == 0);
  CHECK(engine.stop() == 0);
}

TEST_CASE("engine.memory that cannot be locked is no reason not to serve, but one to say what to set") {
  if (skip_with_sanitizer() || skip_without_root("it sets a limit and gives up root")) return;
  const Residue residue;
  const TemporaryFolder folder;
  const auto uid = user_of_this_process();
  REQUIRE(::chown(folder.path().c_str(), uid, uid) == 0);
  const host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  config.upstreams[0].tls.ca_file = folder.add("ca.pem", host::read_file(host::certificate_file("ca.pem")), 0644);
  EngineProcess engine(folder, config, {.prepare = [uid] {
                         const rlimit limit{.rlim_cur = kLimitBytes, .rlim_max = kLimitBytes};
                         return ::setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && become_user(uid);
                       }});
  const auto line = engine.log().wait_for("event=memory_not_locked");
  CHECK_MESSAGE(line.find("LimitMEMLOCK=infinity") != std::string::npos, line);
  CHECK_MESSAGE(line.find("ulimit -l unlimited") != std::string::npos, line);
  engine.await_sessions(1);
  Requester requester(config);
  CHECK(requester.ask("hello").outcome == TMX_ANSWERED);
  // The keys are, as far as the limit goes.
  const auto locked = status_kib(engine.engine_pid(), "VmLck");
  CHECK(locked >= 64);
  CHECK(locked <= kLimitBytes / 1024);
  CHECK(engine.log().count("event=session_keys_not_locked") == 0);
  CHECK(engine.stop() == 0);
}

}  // namespace tlsmux::test
