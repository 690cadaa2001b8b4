// The words behind a NOT_SENT are there when its outcome is, also in the first moments of an engine.

#include <doctest/doctest.h>

#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {

TEST_CASE("engine.the words behind the first NOT_SENT can be read with its outcome") {
  constexpr std::uint16_t kNobodyThere = 9;
  for (int i = 0; i < 5; ++i) {
    const Residue residue;
    const TemporaryFolder folder;
    const auto config = engine_config(folder, {kNobodyThere});
    EngineProcess engine(folder, config);
    Requester requester(config);
    CHECK(requester.ask("hello").outcome == TMX_NOT_SENT);
    CHECK_FALSE(requester.upstream_error().empty());
    CHECK(engine.stop() == 0);
  }
}

}  // namespace tlsmux::test
