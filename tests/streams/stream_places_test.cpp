// Sockets of streams on a real io_uring.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "engine/io/io_loop.hpp"

using namespace tlsmux;
using engine::mux::SessionId;
using engine::mux::StreamId;

namespace {

class Seen final : public engine::io::IoEvents {
 public:
  void connected(SessionId /*session*/, int /*error*/) override {}
  void received(SessionId /*session*/, std::span<std::byte> /*bytes*/) override {}
  void sent(SessionId /*session*/, std::int64_t /*result*/) override {}
  void ended(SessionId /*session*/, int /*error*/) override {}
  void closed(SessionId /*session*/) override {}
  void rung(std::uint32_t /*watch*/) override {}
  void unwatched(std::uint32_t /*watch*/) override {}
  void woken(std::uint32_t /*waker*/) override {}
  void stream_received(StreamId stream, std::span<const std::byte> bytes) override {
    CHECK(stream == wanted);
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    is_finished = bytes.empty();
    ++receives;
  }
  void stream_failed(StreamId /*stream*/, int error) override { failed = error; }
  void stream_took(StreamId /*stream*/, std::int64_t result) override { took = result; }
  void stream_closed(StreamId /*stream*/) override { is_closed = true; }

  StreamId wanted{.index = 3, .generation = 7};
  std::string text;
  int receives = 0;
  bool is_finished = false;
  int failed = 0;
  std::int64_t took = 0;
  bool is_closed = false;
};

using Ends = std::pair<shm::UniqueFd, shm::UniqueFd>;

Ends unix_ends() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
}

Ends tcp_ends() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const where = reinterpret_cast<sockaddr*>(&address);
  const shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), where, length) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), where, &length) == 0);
  shm::UniqueFd process(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(process.get(), where, length) == 0);
  return {std::move(process), shm::UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

struct Pair {
  explicit Pair(Ends ends = unix_ends()) : process(std::move(ends.first)) {
    auto created = engine::io::IoLoop::create({});
    REQUIRE(created.has_value());
    io = std::move(*created);
    io->adopt(seen.wanted, std::move(ends.second));
  }
  // Until `condition`; fails if that takes too long.
  template <typename Condition>
  void await(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      REQUIRE(std::chrono::steady_clock::now() < until);
      io->wait(std::chrono::milliseconds(100));
      io->tell(seen);
    }
  }
  // All that happens without anybody's doing.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      io->wait(std::chrono::milliseconds(1));
      io->tell(seen);
    }
  }
  void process_writes(std::string_view text) const {
    REQUIRE(::send(process.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  void close() {
    io->close(seen.wanted, false);
    await([&] { return seen.is_closed; });
  }

  std::unique_ptr<engine::io::IoLoop> io;
  shm::UniqueFd process;
  Seen seen;
};

}  // namespace

TEST_CASE("stream.socket receives once for each time that it is told to") {
  Pair pair;
  pair.io->receive(pair.seen.wanted);
  pair.settle();
  CHECK(pair.seen.receives == 0);
  pair.process_writes("one");
  pair.await([&] { return pair.seen.receives == 1; });
  pair.process_writes("two");
  pair.settle();
  CHECK(pair.seen.receives == 1);
  pair.io->receive(pair.seen.wanted);
  pair.await([&] { return pair.seen.receives == 2; });
  CHECK(pair.seen.text == "onetwo");
  pair.close();
}

TEST_CASE("stream.socket sends as much as the process takes") {
  Pair pair;
  const std::string large(1'000'000, 'x');
  std::size_t sent = 0;
  std::size_t got = 0;
  std::array<char, 65536> buffer{};
  while (sent < large.size()) {
    pair.seen.took = 0;
    pair.io->send(pair.seen.wanted, std::as_bytes(std::span(large)).subspan(sent));
    pair.settle();
    while (pair.seen.took == 0) {
      const auto piece = ::recv(pair.process.get(), buffer.data(), buffer.size(), 0);
      REQUIRE(piece > 0);
      got += static_cast<std::size_t>(piece);
      pair.settle();
    }
    REQUIRE(pair.seen.took > 0);
    sent += static_cast<std::size_t>(pair.seen.took);
  }
  while (got < sent) got += static_cast<std::size_t>(::recv(pair.process.get(), buffer.data(), buffer.size(), 0));
  CHECK(got == large.size());
  pair.process.reset();
  pair.seen.took = 0;
  pair.io->send(pair.seen.wanted, std::as_bytes(std::span(large)));
  pair.await([&] { return pair.seen.took != 0; });
  CHECK(pair.seen.took == -EPIPE);
  pair.close();
}

TEST_CASE("stream.socket tells a process that is gone from one that only writes no more") {
  Pair pair;
  pair.process_writes("last");
  REQUIRE(::shutdown(pair.process.get(), SHUT_WR) == 0);
  pair.io->receive(pair.seen.wanted);
  pair.await([&] { return pair.seen.receives == 1; });
  CHECK(pair.seen.text == "last");
  pair.io->receive(pair.seen.wanted);
  pair.await([&] { return pair.seen.is_finished; });
  pair.io->watch_hang_up(pair.seen.wanted);
  pair.settle();
  CHECK(pair.seen.failed == 0);
  // It may still be told something.
  pair.io->send(pair.seen.wanted, std::as_bytes(std::span("answer", 6)));
  pair.await([&] { return pair.seen.took == 6; });
  CHECK(pair.seen.failed == 0);
  SUBCASE("having read all") {
    std::array<char, 16> buffer{};
    REQUIRE(::recv(pair.process.get(), buffer.data(), buffer.size(), 0) == 6);
    pair.process.reset();
    pair.await([&] { return pair.seen.failed != 0; });
    CHECK(pair.seen.failed == EPIPE);
  }
  SUBCASE("having not") {
    pair.process.reset();
    pair.await([&] { return pair.seen.failed != 0; });
    CHECK(pair.seen.failed == ECONNRESET);
  }
  pair.close();
}

TEST_CASE("stream.socket of a process that goes away with bytes unread fails") {
  for (const bool is_tcp : {false, true}) {
    CAPTURE(is_tcp);
    Pair pair(is_tcp ? tcp_ends() : unix_ends());
    pair.io->send(pair.seen.wanted, std::as_bytes(std::span("answer", 6)));
    pair.await([&] { return pair.seen.took == 6; });
    pair.io->receive(pair.seen.wanted);
    pair.process.reset();
    pair.await([&] { return pair.seen.failed != 0 || pair.seen.is_finished; });
    CHECK(pair.seen.failed == ECONNRESET);
    pair.close();
  }
}

TEST_CASE("stream.socket is closed when nothing of it is under way, and the process sees that at once") {
  Pair pair;
  const std::string large(8'000'000, 'x');
  pair.io->receive(pair.seen.wanted);
  pair.io->send(pair.seen.wanted, std::as_bytes(std::span(large)));
  pair.settle();
  pair.io->close(pair.seen.wanted, false);
  pair.await([&] { return pair.seen.is_closed; });
  CHECK(pair.seen.receives == 0);
  std::array<char, 65536> buffer{};
  ssize_t got = 0;
  do {
    got = ::recv(pair.process.get(), buffer.data(), buffer.size(), 0);
  } while (got > 0);
  CHECK(got == 0);
  // Its place is free.
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  pair.process.reset(ends[0]);
  pair.seen = {};
  pair.seen.wanted.generation = 8;
  pair.io->adopt(pair.seen.wanted, shm::UniqueFd(ends[1]));
  pair.io->receive(pair.seen.wanted);
  pair.process_writes("next");
  pair.await([&] { return pair.seen.receives == 1; });
  CHECK(pair.seen.text == "next");
  pair.close();
}

TEST_CASE("stream.socket that is reset says all that was sent, then that it was reset") {
  Pair pair(tcp_ends());
  pair.io->send(pair.seen.wanted, std::as_bytes(std::span("lost", 4)));
  pair.await([&] { return pair.seen.took == 4; });
  pair.io->close(pair.seen.wanted, true);
  pair.await([&] { return pair.seen.is_closed; });
  std::array<char, 16> buffer{};
  CHECK(::recv(pair.process.get(), buffer.data(), buffer.size(), 0) == 4);
  CHECK(::recv(pair.process.get(), buffer.data(), buffer.size(), 0) == -1);
  CHECK(errno == ECONNRESET);
  CHECK(::send(pair.process.get(), "x", 1, MSG_NOSIGNAL) == -1);
  CHECK(errno == EPIPE);
}

TEST_CASE("stream.socket is not reset while its process has not room for all that was sent") {
  Pair pair(tcp_ends());
  std::string large(4'000'000, 'x');
  pair.io->send(pair.seen.wanted, std::as_bytes(std::span(large)));
  pair.await([&] { return pair.seen.took != 0; });
  REQUIRE(pair.seen.took > 0);
  pair.io->close(pair.seen.wanted, true);
  pair.await([&] { return pair.seen.is_closed; });
  std::int64_t got = 0;
  ssize_t piece = 0;
  while ((piece = ::recv(pair.process.get(), large.data(), large.size(), 0)) > 0) got += piece;
  CHECK(piece == 0);
  CHECK(got == pair.seen.took);
}
