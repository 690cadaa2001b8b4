#include "engine/broker/resource_limits.hpp"

#include <linux/capability.h>
#include <sys/resource.h>

#include <cstdint>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "engine/capabilities.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/broker/process.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using namespace tlsmux::engine::broker;

namespace {

std::uint64_t most_of_kernel() {
  std::uint64_t most = 0;
  std::ifstream("/proc/sys/fs/nr_open") >> most;
  return most;
}

}  // namespace

TEST_CASE("engine.limit of open files goes as far as the kernel has it, if more is wanted") {
  const auto most = most_of_kernel();
  REQUIRE(most > 0);
  CHECK(advice_for_open_files(most).find("fs.nr_open") == std::string::npos);
  CHECK(advice_for_open_files(most + 1).find("sysctl fs.nr_open=" + std::to_string(most + 1)) != std::string::npos);
  if ((engine::capabilities_in_effect() & engine::capability_bit(CAP_SYS_RESOURCE)) == 0) {
    return test::skip("needs CAP_SYS_RESOURCE: raises a limit");
  }
  test::ChildProcess child([&] {
    const rlimit low{.rlim_cur = 256, .rlim_max = 256};
    if (::setrlimit(RLIMIT_NOFILE, &low) != 0) return 1;
    return raise_limits(most + 1) == most ? 0 : 2;
  });
  CHECK(child.wait() == 0);
}

TEST_CASE("engine.limit of locked memory that stays is left to the engine to tell, which may lock all the same") {
  if (test::skip_without_root("gives up root")) return;
  test::LogPipe pipe;
  test::ChildProcess child([&] {
    engine::Log log(config::LogLevel::info, pipe.take_writing_end(), engine::Log::Mode::synchronous);
    constexpr rlim_t kLittle = 4U << 20;  // below what is usual, so that it can be set without privileges
    const rlimit limit{.rlim_cur = kLittle, .rlim_max = kLittle};
    if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || !test::become_user(test::kNobody)) return 1;
    raise_limits(config::Config(), log);
    return 0;
  });
  pipe.take_writing_end().reset();
  CHECK(child.wait() == 0);
  CHECK(pipe.rest().empty());
}
