// What is sealed may lie in a client's slot, and a hostile client may change it at that very moment.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "tests/support/skip.hpp"
#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::OpenState;
using engine::tls::Role;

TEST_CASE("record.a slot that changes while it is sealed makes a valid record of some of its bytes") {
#if defined(__SANITIZE_THREAD__)
  skip("the race that ThreadSanitizer would report is the subject");
  return;
#endif
  constexpr std::size_t kRounds = 2000;
  for (const auto& suite : kRecordSuites) {
    for (const auto library : usable_libraries()) {
      // Small enough to be copied, and large enough to be sealed from where it lies.
      for (const std::size_t size : {std::size_t{300}, engine::tls::kAeadGatherBytesMin, std::size_t{16'000}}) {
        CAPTURE(suite.suite);
        CAPTURE(size);
        RecordEnd client(made_up_state(Role::client, suite), library);
        RecordEnd server(made_up_state(Role::server, suite), library);
        std::vector<std::atomic<unsigned char>> slot(size);
        std::atomic<bool> begun = false;
        std::atomic<bool> done = false;
        const std::jthread hostile([&] {
          // The value of a type, to be taken for it.
          for (unsigned char value = 20; !done; value = value == 23 ? 20 : value + 1) {
            for (auto& byte : slot) byte.store(value, std::memory_order_relaxed);
            begun = true;
            begun.notify_one();
          }
        });
        begun.wait(false);
        const std::string header = "head";
        const std::array parts = {std::as_bytes(std::span(header)),
                                  std::span(reinterpret_cast<const std::byte*>(slot.data()), slot.size())};
        bool good = true;
        const std::size_t rounds = size > 1000 ? kRounds / 20 : kRounds;
        for (std::size_t i = 0; i < rounds && good; ++i) {
          good = client.layer().seal(parts, client.wire()).has_value();
          good = good && server.open(client.take_output()) == OpenState::open;
        }
        done = true;
        CHECK(good);
        CHECK(server.received().size() == rounds * (header.size() + size));
        CHECK(server.received().starts_with(header));
      }
    }
  }
}

}  // namespace
}  // namespace tlsmux::test
