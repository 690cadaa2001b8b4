// Sessions' sockets that the engine does not receive from for a while: no byte is lost, and no end.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "engine/io/io_loop.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using engine::io::IoLoop;
using engine::mux::SessionId;

namespace {

constexpr SessionId kSession{.index = 0, .generation = 7};

std::byte pattern_at(std::uint64_t position) { return std::byte(position * 31 % 251); }

// What the engine's side has been told of its one connection.
class Told final : public engine::io::IoEvents {
 public:
  void connected(SessionId, int error) override { connect_error = error; }
  void received(SessionId, std::span<std::byte> bytes) override {
    CHECK_FALSE(end.has_value());
    for (const auto byte : bytes) good = good && byte == pattern_at(received_bytes++);
    if (on_received) on_received();
  }
  void sent(SessionId, std::int64_t) override {}
  void ended(SessionId, int error) override {
    CHECK_FALSE(end.has_value());
    end = error;
  }
  void closed(SessionId) override { is_closed = true; }
  void stream_received(engine::mux::StreamId, std::span<const std::byte>) override {}
  void stream_failed(engine::mux::StreamId, int) override {}
  void stream_took(engine::mux::StreamId, std::int64_t) override {}
  void stream_closed(engine::mux::StreamId) override {}
  void rung(std::uint32_t) override {}
  void unwatched(std::uint32_t) override {}
  void woken(std::uint32_t) override {}

  std::optional<int> connect_error;
  std::uint64_t received_bytes = 0;
  bool good = true;
  std::optional<int> end;
  bool is_closed = false;
  std::function<void()> on_received;
};

// An engine's connection and the host at its other end.
struct Room {
  explicit Room(std::uint32_t receive_buffers = 16) {
    auto made = IoLoop::create({.send_memory_bytes = {64 * 1024}, .receive_buffers = receive_buffers});
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    io = std::move(*made);
    shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), bytes) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    io->connect(kSession, *engine::mux::parse_literal("127.0.0.1", ntohs(address.sin_port)), {});
    until([&] { return told.connect_error.has_value(); });
    REQUIRE(*told.connect_error == 0);
    host.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    REQUIRE(static_cast<bool>(host));
  }

  ~Room() {
    told.on_received = nullptr;
    if (!is_closing) io->close(kSession);
    until([&] { return told.is_closed; });
  }

  void turn(std::chrono::milliseconds wait) {
    io->wait(wait);
    io->tell(told);
  }
  template <typename Condition>
  void until(Condition condition) {
    for (int turns = 0; !condition(); ++turns) {
      REQUIRE(turns < 1'000);
      turn(std::chrono::milliseconds(10));
    }
  }
  // Everything that the ring was given is with the kernel, and what that has to say about it is told.
  void settle() {
    for (int turns = 0; turns < 3 || io->has_news(); ++turns) turn(std::chrono::milliseconds(0));
  }

  // As much of it as the kernel takes at once.
  std::size_t say(std::size_t bytes) {
    std::vector<std::byte> text(bytes);
    for (std::size_t i = 0; i < bytes; ++i) text[i] = pattern_at(said_bytes + i);
    const auto took = ::send(host.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (took < 0) REQUIRE((errno == EAGAIN || errno == EWOULDBLOCK));
    said_bytes += took > 0 ? static_cast<std::uint64_t>(took) : 0;
    return took > 0 ? static_cast<std::size_t>(took) : 0;
  }

  Told told;
  std::unique_ptr<IoLoop> io;
  shm::UniqueFd host;
  std::uint64_t said_bytes = 0;
  bool is_closing = false;
};

}  // namespace

TEST_CASE("stream.a held session receives nothing, its host has to stop, and all comes when it is resumed") {
  Room room;
  room.say(1'000);
  room.until([&] { return room.told.received_bytes == 1'000; });
  room.io->hold(kSession);
  room.settle();
  // Until neither side's kernel takes any more, although the engine's loop turns.
  constexpr std::uint64_t kMuch = 256ULL << 20;
  for (int refused = 0; refused < 50;) {
    refused = room.say(1 << 20) == 0 ? refused + 1 : 0;
    REQUIRE(room.said_bytes < kMuch);
    room.turn(std::chrono::milliseconds(1));
  }
  CHECK(room.told.received_bytes == 1'000);
  room.io->resume(kSession);
  room.until([&] { return room.told.received_bytes == room.said_bytes; });
  room.say(5);
  room.until([&] { return room.told.received_bytes == room.said_bytes; });
  CHECK(room.told.good);
}

TEST_CASE("stream.the end of a held session is told when it is resumed, behind its last bytes") {
  Room room;
  room.io->hold(kSession);
  room.settle();
  room.say(100'000);
  room.host.reset();
  room.settle();
  CHECK(room.told.received_bytes == 0);
  CHECK_FALSE(room.told.end.has_value());
  room.io->resume(kSession);
  room.until([&] { return room.told.end.has_value(); });
  CHECK(*room.told.end == 0);
  CHECK(room.told.received_bytes == 100'000);
  CHECK(room.told.good);
}

TEST_CASE("stream.an end that the kernel has handed over before is kept back while the session is held") {
  Room room;
  room.told.on_received = [&] {
    if (room.told.received_bytes == room.said_bytes) room.io->hold(kSession);
  };
  room.say(1'000);
  ::shutdown(room.host.get(), SHUT_WR);
  room.until([&] { return room.told.received_bytes == 1'000; });
  room.settle();
  CHECK_FALSE(room.told.end.has_value());
  SUBCASE("resumed and held again in the same turn") {
    room.io->resume(kSession);
    room.io->hold(kSession);
    room.settle();
    CHECK_FALSE(room.told.end.has_value());
  }
  room.io->resume(kSession);
  room.until([&] { return room.told.end.has_value(); });
  CHECK(*room.told.end == 0);
}

TEST_CASE("stream.a held session can be closed") {
  Room room;
  SUBCASE("at once") { room.io->hold(kSession); }
  SUBCASE("later, with bytes and the end waiting") {
    room.io->hold(kSession);
    room.settle();
    room.say(1'000);
    room.host.reset();
    room.settle();
  }
  SUBCASE("with the end kept back, and resumed a moment ago") {
    room.told.on_received = [&] { room.io->hold(kSession); };
    room.say(1'000);
    room.host.reset();
    room.until([&] { return room.told.received_bytes == 1'000; });
    room.settle();
    room.io->resume(kSession);
  }
  room.is_closing = true;
  room.io->close(kSession);
  room.until([&] { return room.told.is_closed; });
  CHECK_FALSE(room.told.end.has_value());
}

// With one buffer the kernel ends a receive with ENOBUFS as soon as there is more than goes into it.
TEST_CASE("stream.more has come than there are buffers for: nothing is lost, and it is no end") {
  Room room(1);
  for (int i = 0; i < 5; ++i) {
    room.say(1 << 20);
    room.until([&] { return room.told.received_bytes == room.said_bytes; });
  }
  CHECK(room.said_bytes > (1 << 20));
  CHECK(room.told.good);
  SUBCASE("held while buffers are missing") {
    room.say(1 << 20);
    room.told.on_received = [&] {
      room.told.on_received = nullptr;
      room.io->hold(kSession);
    };
    room.until([&] { return room.told.on_received == nullptr; });
    room.settle();
    CHECK_FALSE(room.told.end.has_value());
    room.io->resume(kSession);
    room.until([&] { return room.told.received_bytes == room.said_bytes; });
    CHECK(room.told.good);
  }
  room.host.reset();
  room.until([&] { return room.told.end.has_value(); });
  CHECK(*room.told.end == 0);
}

TEST_CASE("stream.held and resumed at any moment, a session loses no byte and no end") {
  std::mt19937_64 random(test::seed());
  for (int round = 0; round < 20; ++round) {
    Room room;
    bool is_held = false;
    const auto flip = [&] {
      is_held ? room.io->resume(kSession) : room.io->hold(kSession);
      is_held = !is_held;
    };
    room.told.on_received = [&] {
      if (random() % 4 == 0) flip();
    };
    for (int i = 0; i < 300; ++i) {
      if (random() % 2 == 0) room.say(1 + random() % 50'000);
      while (random() % 3 == 0) flip();
      room.turn(std::chrono::milliseconds(0));
    }
    room.host.reset();
    room.turn(std::chrono::milliseconds(0));
    room.told.on_received = nullptr;
    if (is_held) flip();
    room.until([&] { return room.told.end.has_value(); });
    REQUIRE(*room.told.end == 0);
    REQUIRE(room.told.received_bytes == room.said_bytes);
    REQUIRE(room.told.good);
  }
}
