// redis-cli over TLS to a real Redis: sessions are leased, and declared safe to reuse.

#include <doctest/doctest.h>

#include "tests/programs/program_scene.hpp"
#include "tests/programs/redis_server.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr int kRuns = 5;

Program redis_cli(const std::string& commands) {
  return {.command = {"/usr/bin/redis-cli", "--tls", "--cacert", "$AUTHORITY", "--sni", "$HOST", "-h", "$HOST", "-p",
                      "$PORT"},
          .input = commands};
}

const Program kWork = redis_cli(
    "FLUSHALL\nSET name value\nGET name\nINCR count\nINCR count\nRPUSH list a b c\nLRANGE list 0 -1\n"
    "EVAL \"return string.rep('x', 50000)\" 0\nGET none\nNO SUCH COMMAND\n");
const Program kClientId = redis_cli("CLIENT ID\n");  // a connection's number, as the server sees it

}  // namespace

TEST_CASE("wrapper.redis-cli has the pool's session to a real Redis") {
  if (skip_without("/usr/bin/redis-server", "redis-server") || skip_without("/usr/bin/redis-cli", "redis-tools"))
    return;
  const Residue residue;
  RedisServer redis;
  ProgramScene scene(redis.port(), [](config::UpstreamSettings& upstream) {
    upstream.framing.kind = config::FramingKind::none;
    upstream.streams.kind = config::StreamKind::leased;
    upstream.streams.reuse = config::StreamReuse::always;
    upstream.streams.idle_max_ms = 0;
  });
  CHECK(redis.handshakes() == 1);
  std::size_t own = 0;
  std::string id;
  for (const auto kind : kRuleKinds) {
    CAPTURE(kind == RuleKind::by_address);
    scene.share(kind);
    const auto unshared = scene.run_unshared(kWork);
    CHECK(unshared.output.contains("\nvalue\n"));
    for (int i = 0; i < kRuns; ++i) scene.check_same(kWork, unshared);
    const auto shared_id = scene.run_shared(kClientId).output;
    if (id.empty()) id = shared_id;
    CHECK(shared_id == id);
    CHECK(scene.run_unshared(kClientId).output != id);
    own += 2;
    CHECK(redis.handshakes() == 1 + own);
  }
  CHECK(scene.sessions() == 1);
}

}  // namespace tlsmux::test
