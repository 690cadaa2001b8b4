// What the engine's data loop does not do for a message: allocate, lock.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "shm/segment.hpp"
#include "tests/host/host_process.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/call_counts.h"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

// In the memory of the tlsmuxd that is started with preparation().
class CallCounter {
 public:
  explicit CallCounter(const TemporaryFolder& folder)
      : path_(folder.add("call_counts", std::string(sizeof(call_counts), '\0'), 0666)) {
    const shm::UniqueFd file(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    auto mapping = shm::Mapping::map(file.get(), sizeof(call_counts), shm::Access::read_write);
    REQUIRE(mapping);
    mapping_ = std::move(*mapping);
  }

  [[nodiscard]] std::function<bool()> preparation() const {
    return [this] {
      return ::setenv("LD_PRELOAD", TLSMUX_CALL_COUNTER, 1) == 0 &&
             ::setenv(CALL_COUNTS_VARIABLE, path_.c_str(), 1) == 0;
    };
  }

  [[nodiscard]] call_counts read() const {
    auto& counts = *reinterpret_cast<call_counts*>(mapping_.bytes().data());
    const auto load = [](std::uint64_t& count) { return std::atomic_ref(count).load(std::memory_order_relaxed); };
    return {.allocations = load(counts.allocations),
            .releases = load(counts.releases),
            .locks = load(counts.locks),
            .threads = load(counts.threads)};
  }

 private:
  std::string path_;
  shm::Mapping mapping_;
};

[[maybe_unused]] void exchange(Requester& requester, std::uint64_t& number, int rounds) {
  constexpr int kInFlight = 16;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < kInFlight; ++i) {
      ++number;
      requester.submit_surely(keyed_message(number, 16 + number * 37 % 1000), number);
    }
    for (const auto& ended : requester.take(kInFlight)) REQUIRE(ended.outcome == TMX_ANSWERED);
  }
}

}  // namespace

TEST_CASE("ring.a data loop neither allocates nor locks for a message") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip("a sanitizer brings an allocator of its own, so calls cannot be counted");
#else
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  set_keyed(config.upstreams[0]);
  const CallCounter counter(folder);
  EngineProcess engine(folder, config, {.prepare = counter.preparation()});
  engine.await_sessions(1);
  {
    Requester requester(config);
    std::uint64_t number = 0;
    exchange(requester, number, 200);  // until every table has found its size
    const auto before = counter.read();
    exchange(requester, number, 1000);
    const auto after = counter.read();
    CHECK(after.threads == 1);
    CHECK(before.allocations > 0);  // it counts
    CHECK(after.allocations == before.allocations);
    CHECK(after.releases == before.releases);
    CHECK(after.locks == before.locks);
  }
  CHECK(engine.stop() == 0);
#endif
}

}  // namespace tlsmux::test
