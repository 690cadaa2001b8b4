// Processes that are killed in the middle of something, and what the next one finds.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/limits.hpp"
#include "tests/wrapper_system/world.hpp"

namespace tlsmux::test {
namespace {

const std::string kHalfRequest = "POST /half HTTP/1.1\r\nContent-Length: 100\r\n\r\nno more than this";
const std::string kWholeRequest = "POST /whole HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
const std::string kWholeAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnmmdi";
const std::string kHalfMessage = "0100of-one-that-dies and no more";
const std::string kWholeMessage = "0021of-one-that-dieshello";

// It makes these calls, and is killed then.
void die_after(World& world, std::vector<std::string> calls) {
  calls.emplace_back("hear");
  Program program(world.script(calls), world.environment("shared"));
  program.lines_to("hear");
  program.kill();
}

std::string size_of(const std::string& text) { return std::to_string(text.size()); }

}  // namespace

TEST_CASE("faults.a process killed in the middle of writing a message leaves nothing of it to others") {
  World world({{.protocol = Protocol::messages}});
  die_after(world, {"text", kHalfMessage});
  die_after(world, {"text", kWholeMessage + kHalfMessage, "all", size_of(kWholeMessage)});
  world.check_exchange("first-next");
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 1);
  CHECK(counts.requests == 1 + 2);
  CHECK(counts.nonsense == 0);
}

TEST_CASE("faults.a process killed in the middle of writing a request of HTTP takes its session along") {
  World world({{.protocol = Protocol::http}});
  die_after(world, {"text", kWholeRequest, "all", size_of(kWholeAnswer), "text", kHalfRequest});
  world.check_exchange("first-next");
  const auto counts = world.host().await([](const HostCounts& now) { return now.ended == 1; });
  CHECK(counts.cut_short == 1);
  CHECK(counts.nonsense == 0);
  CHECK(counts.handshakes == 2);
  CHECK(counts.requests == 1 + 2);
}

// It has read all that there is, so that the kernel does not tell the engine that it is gone.
TEST_CASE("faults.a process killed while it waits for an answer of HTTP takes its session along") {
  World world({{.protocol = Protocol::http}});
  die_after(world, {"text", "POST /stall HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "all", "20"});
  world.check_exchange("first-next");
  world.host().go();
  const auto counts = world.host().await([](const HostCounts& now) { return now.ended == 1; });
  CHECK(counts.nonsense == 0);
  CHECK(counts.handshakes == 2);
  CHECK(counts.requests == 1 + 2);
}

TEST_CASE("faults.a process killed in the middle of reading an answer of HTTP takes its session along") {
  World world({{.protocol = Protocol::http}});
  die_after(world, {"text", "POST /big HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "all", "100000"});
  world.check_exchange("first-next");
  const auto counts = world.host().await([](const HostCounts& now) { return now.ended == 1; });
  CHECK(counts.nonsense == 0);
  CHECK(counts.handshakes == 2);
  CHECK(counts.requests == 1 + 2);
}

TEST_CASE("faults.answers to a process that was killed while it read reach nobody") {
  World world({{.protocol = Protocol::messages, .change = [](config::UpstreamSettings& upstream) {
                  upstream.streams.buffer_bytes = config::kStreamBufferBytesMin;
                }}});
  // More than the engine and the kernel hold.
  constexpr int kMessages = 2000;
  std::string many;
  for (int i = 0; i < kMessages; ++i) {
    auto number = std::to_string(i);
    many += "0020" + std::string(16 - number.size(), '.') + number + "/big";
  }
  die_after(world, {"nonblock", "text", many, "all", "20000"});
  world.check_exchange("first-next");
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 1);
  CHECK(counts.nonsense == 0);
  CHECK(counts.requests > 2 + 2);
  CHECK(counts.requests < kMessages);
}

TEST_CASE("faults.processes killed between two exchanges leave their session to the next") {
  World world({{.protocol = Protocol::http}});
  for (int i = 0; i < 3; ++i) die_after(world, {"text", kWholeRequest, "all", size_of(kWholeAnswer)});
  world.check_exchange("first-next");
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 1);
  CHECK(counts.cut_short == 0);
  CHECK(counts.nonsense == 0);
  CHECK(counts.requests == 3 + 2);
}

TEST_CASE("faults.a session that is declared safe is left as the killed process left it") {
  World world({{.protocol = Protocol::lines}});
  die_after(world, {"text", "one\ntw", "all", "4"});
  Program next(world.script({"text", "o\n", "read", "100"}), world.environment("shared"));
  CHECK(next.rest().ends_with("read: 4 NONE shutdown 0\n  \"nvu\n\"\n"));
  CHECK(next.wait() == 0);
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 1);
  CHECK(counts.requests == 2);
}

TEST_CASE("faults.a session that is declared safe is nobody's after a process that was killed before its answer came") {
  World world({{.protocol = Protocol::lines}});
  die_after(world, {"text", "one\n", "all", "4", "text", "two and no mo"});
  Program next(world.script({"text", "two\n", "read", "100"}), world.environment("shared"));
  CHECK(next.rest().ends_with("read: 4 NONE shutdown 0\n  \"nvu\n\"\n"));
  CHECK(next.wait() == 0);
  const auto counts = world.host().await([](const HostCounts& now) { return now.ended == 1; });
  CHECK(counts.cut_short == 1);
  CHECK(counts.handshakes == 2);
  CHECK(counts.requests == 2);
}

}  // namespace tlsmux::test
