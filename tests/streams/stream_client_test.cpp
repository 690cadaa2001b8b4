// Streams as an application has them, against an engine that the test scripts.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <tlsmux/stream.h>
#include <tlsmux/stream.hpp>

#include <array>
#include <cerrno>
#include <string>
#include <thread>

#include "tests/streams/opened_stream.hpp"

using namespace tlsmux;
using test::Opened;
using Beginning = test::StreamEngine::Beginning;

TEST_CASE("stream.client reads what the host sent, record by record") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  auto end = engine.next();
  CHECK(shm::text_of(engine.last_request().upstream) == "host");
  CHECK(shm::text_of(engine.last_request().group) == "group");
  end.data("hello ");
  end.data("world");
  CHECK(opened.read(3) == "hel");
  CHECK(opened.read(100) == "lo ");
  CHECK(opened.read(100) == "world");

  std::array<char, 2> first{};
  std::array<char, 8> second{};
  const std::array<iovec, 2> parts{iovec{.iov_base = first.data(), .iov_len = first.size()},
                                   iovec{.iov_base = second.data(), .iov_len = second.size()}};
  end.data("scatter");
  CHECK(tmx_stream_readv(opened.stream, parts.data(), 2) == 7);
  CHECK(std::string(first.data(), 2) + second.data() == "scatter");
}

TEST_CASE("stream.client writes all of it, in order") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  const auto end = engine.next();
  std::string large;
  for (int i = 0; large.size() < 2'000'000; ++i) large += std::to_string(i) + ' ';
  std::string got;
  std::thread reader([&] { got = end.read(large.size() + 6); });
  const std::array<iovec, 3> parts{iovec{.iov_base = const_cast<char*>("abc"), .iov_len = 3},
                                   iovec{.iov_base = large.data(), .iov_len = large.size()},
                                   iovec{.iov_base = const_cast<char*>("xyz"), .iov_len = 3}};
  CHECK(tmx_stream_writev(opened.stream, parts.data(), 3) == static_cast<ssize_t>(large.size() + 6));
  reader.join();
  CHECK((got == "abc" + large + "xyz"));
}

TEST_CASE("stream.client's descriptor is readable when, and only when, the stream is") {
  test::StreamEngine engine;
  const Opened opened(engine, TMX_STREAM_NONBLOCKING);
  REQUIRE(opened.error == 0);
  auto end = engine.next();
  REQUIRE(tmx_stream_await_open(opened.stream, 20'000) == 0);
  CHECK_FALSE(opened.is(POLLIN));
  CHECK(opened.try_read() == -EAGAIN);

  end.data("abc");
  CHECK(opened.is(POLLIN));
  CHECK(opened.read(2) == "ab");
  CHECK(opened.is(POLLIN));
  CHECK(opened.read(2) == "c");
  CHECK_FALSE(opened.is(POLLIN));
  CHECK(opened.try_read() == -EAGAIN);

  // A header whose bytes are still on their way.
  const auto header = shm::stream_record(shm::StreamRecordType::data, 2);
  end.raw(&header, 3);
  CHECK(opened.try_read() == -EAGAIN);
  CHECK_FALSE(opened.is(POLLIN));
  end.raw(reinterpret_cast<const char*>(&header) + 3, 1);
  CHECK(opened.is(POLLIN));
  CHECK(opened.try_read() == -EAGAIN);
  CHECK_FALSE(opened.is(POLLIN));
  end.raw("zz", 2);
  CHECK(opened.is(POLLIN));
  CHECK(opened.read(9) == "zz");

  end.closed();
  CHECK(opened.is(POLLIN));
  CHECK(opened.try_read() == 0);
  CHECK(opened.try_read() == 0);
}

TEST_CASE("stream.client's descriptor is writable until it takes no more, and again when there is room") {
  test::StreamEngine engine;
  const Opened opened(engine, TMX_STREAM_NONBLOCKING);
  REQUIRE(opened.error == 0);
  const auto end = engine.next();
  const std::string block(10'000, 'w');
  std::size_t written = 0;
  REQUIRE(opened.is(POLLOUT));
  ssize_t result = 0;
  while ((result = tmx_stream_write(opened.stream, block.data(), block.size())) > 0) {
    written += static_cast<std::size_t>(result);
  }
  CHECK(result == -EAGAIN);
  CHECK_FALSE(opened.is(POLLOUT));
  CHECK(end.read(written) == std::string(written, 'w'));
  CHECK(opened.is(POLLOUT));
  CHECK(tmx_stream_write(opened.stream, "x", 1) == 1);
}

TEST_CASE("stream.client waits no longer than its time-outs") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  auto end = engine.next();
  REQUIRE(tmx_stream_set_timeouts(opened.stream, 20, 20) == 0);
  CHECK(opened.try_read() == -ETIMEDOUT);
  const std::string large(4'000'000, 'x');
  const auto written = tmx_stream_write(opened.stream, large.data(), large.size());
  CHECK(written > 0);
  CHECK(written < static_cast<ssize_t>(large.size()));
  CHECK(tmx_stream_write(opened.stream, large.data(), large.size()) == -ETIMEDOUT);
  end.data("late");
  CHECK(opened.read(9) == "late");
  // Made non-blocking by the application.
  REQUIRE(::fcntl(tmx_stream_descriptor(opened.stream), F_SETFL, O_RDWR | O_NONBLOCK) == 0);
  CHECK(opened.try_read() == -EAGAIN);
}

TEST_CASE("stream.client is told why a stream is lost, after what had come") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  auto end = engine.next();
  int maybe_sent = -1;
  std::array<char, 64> words{};
  CHECK(tmx_stream_reason(opened.stream, &maybe_sent, words.data(), words.size()) == TMX_REASON_NONE);
  CHECK(maybe_sent == 0);
  end.data("before");
  end.end(shm::StreamRecordType::lost, shm::Reason::host_closed, "the host closed", true);
  end.die();
  CHECK(opened.read(9) == "before");
  CHECK(opened.try_read() == -ECONNRESET);
  CHECK(opened.try_read() == -ECONNRESET);
  CHECK(tmx_stream_reason(opened.stream, &maybe_sent, words.data(), words.size()) == TMX_REASON_HOST_CLOSED);
  CHECK(maybe_sent == 1);
  CHECK(std::string(words.data()) == "the host closed");
  CHECK(tmx_stream_write(opened.stream, "x", 1) == -ECONNRESET);
}

TEST_CASE("stream.client tells the engine's death from an end that the host has said") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  auto end = engine.next();
  CHECK(tmx_stream_write(opened.stream, "x", 1) == 1);
  CHECK(end.read(1) == "x");
  end.die();
  CHECK(opened.try_read() == -EPIPE);
  CHECK(opened.try_read() == -EPIPE);
  CHECK(tmx_stream_write(opened.stream, "x", 1) == -EPIPE);
  int maybe_sent = 0;
  std::array<char, 100> words{};
  CHECK(tmx_stream_reason(opened.stream, &maybe_sent, words.data(), words.size()) == TMX_REASON_ENGINE_DIED);
  CHECK(std::string(words.data()) == "the engine has ended");
  CHECK(maybe_sent == 1);
}

TEST_CASE("stream.client takes what is no record for the engine's death") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  engine.next().record(shm::StreamRecordType::closed, "no body belongs here");
  CHECK(opened.try_read() == -EPIPE);
}

TEST_CASE("stream.client opens without waiting if it is told to") {
  test::StreamEngine engine;
  engine.begin_with(Beginning::nothing);
  const Opened opened(engine, TMX_STREAM_NONBLOCKING);
  REQUIRE(opened.error == 0);
  const auto end = engine.next();
  CHECK(tmx_stream_await_open(opened.stream, 0) == -EAGAIN);
  CHECK(tmx_stream_await_open(opened.stream, 5) == -ETIMEDOUT);
  CHECK(opened.try_read() == -EAGAIN);
  end.opened({"one certificate", "another"});
  end.data("x");
  CHECK(tmx_stream_await_open(opened.stream, 20'000) == 0);
  CHECK(opened.read(9) == "x");
}

TEST_CASE("stream.client is told why there is none") {
  test::StreamEngine engine;
  engine.begin_with(Beginning::refused);
  const Opened refused(engine);
  CHECK(refused.error == -ECONNABORTED);
  CHECK(std::string(refused.words.data()) == "nobody there");
  CHECK(refused.stream == nullptr);

  engine.begin_with(Beginning::overdue);
  CHECK(Opened(engine).error == -ETIMEDOUT);
  engine.begin_with(Beginning::nothing);
  CHECK(Opened(engine, 0, 20).error == -ETIMEDOUT);
  CHECK(engine.last_request().wait_ms == 20);

  engine.begin_with(Beginning::refused);
  const Opened later(engine, TMX_STREAM_NONBLOCKING);
  REQUIRE(later.error == 0);
  CHECK(tmx_stream_await_open(later.stream, 20'000) == -ECONNABORTED);
  CHECK(tmx_stream_reason(later.stream, nullptr, nullptr, 0) == TMX_REASON_CONNECT_REFUSED);
  CHECK(later.try_read() == -ECONNABORTED);

  engine.refuse(ENOENT, "no such upstream");
  const Opened unknown(engine);
  CHECK(unknown.error == -ENOENT);
  CHECK(std::string(unknown.words.data()) == "no such upstream");
}

TEST_CASE("stream.client without an engine, or with options that make no sense") {
  tmx_stream* stream = nullptr;
  tmx_stream_options options{};
  options.struct_bytes = sizeof options;
  options.control_socket = "/nonexistent/control.sock";
  CHECK(tmx_stream_open("host", &options, &stream) == -ECONNREFUSED);
  CHECK(tmx_stream_open(nullptr, &options, &stream) == -EINVAL);
  CHECK(tmx_stream_open("", &options, &stream) == -EINVAL);
  options.flags = 0x80;
  CHECK(tmx_stream_open("host", &options, &stream) == -EINVAL);
  options.flags = 0;
  options.struct_bytes = 4;
  CHECK(tmx_stream_open("host", &options, &stream) == -EINVAL);
  CHECK(tmx_stream_read(nullptr, nullptr, 0) == -EINVAL);
  CHECK(tmx_stream_shutdown(nullptr) == -EINVAL);
  tmx_stream_close(nullptr);
}

TEST_CASE("stream.client shuts down one direction") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  auto end = engine.next();
  CHECK(tmx_stream_write(opened.stream, "last", 4) == 4);
  CHECK(tmx_stream_shutdown(opened.stream) == 0);
  CHECK(tmx_stream_write(opened.stream, "more", 4) == -EPIPE);
  CHECK(end.read(100) == "last");
  end.data("answer");
  end.closed();
  CHECK(opened.read(100) == "answer");
  CHECK(opened.try_read() == 0);
}

TEST_CASE("stream.client reads with one thread and writes with another") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  const auto end = engine.next();
  constexpr std::size_t kBytes = 500'000;
  std::jthread echo([&] {
    for (std::size_t left = kBytes; left > 0; left -= 1000) end.data(end.read(1000));
    end.closed();
  });
  std::string sent;
  for (int i = 0; sent.size() < kBytes; ++i) sent += std::to_string(i);
  sent.resize(kBytes);
  std::jthread writer([&] { CHECK(tmx_stream_write(opened.stream, sent.data(), sent.size()) == ssize_t{kBytes}); });
  std::string got;
  for (auto piece = opened.read(777); !piece.empty(); piece = opened.read(777)) got += piece;
  CHECK((got == sent));
}

TEST_CASE("stream.the C++ wrapper") {
  test::StreamEngine engine;
  auto stream = Stream::open("host", {.group = "group", .control_socket = engine.control_socket()});
  REQUIRE(stream.has_value());
  auto end = engine.next();
  CHECK(stream->write(std::as_bytes(std::span("ask", 3))) == 3U);
  CHECK(end.read(3) == "ask");
  end.data("answer");
  std::array<std::byte, 16> buffer{};
  CHECK(stream->read(buffer) == 6U);
  end.end(shm::StreamRecordType::lost, shm::Reason::deadline, "too late", true);
  const auto lost = stream->read(buffer);
  REQUIRE_FALSE(lost.has_value());
  CHECK(lost.error().code == -ECONNRESET);
  CHECK(stream->end().reason == TMX_REASON_DEADLINE);
  CHECK(stream->end().maybe_sent);
  CHECK(stream->end().words == "too late");

  engine.refuse(ENOENT, "no such upstream");
  std::string words;
  CHECK_FALSE(Stream::open("host", {.control_socket = engine.control_socket()}, &words).has_value());
  CHECK(words == "no such upstream");
}
