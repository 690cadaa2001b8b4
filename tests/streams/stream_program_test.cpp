// Streams in programs with signals, with threads that are cancelled, and in the example.

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "tests/streams/opened_stream.hpp"

using namespace tlsmux;
using test::Opened;

namespace {

// Of a thread that is to be cancelled as soon as it waits somewhere.
void* read_cancelled(void* from) {
  std::array<char, 3> buffer{};
  ::pthread_cancel(::pthread_self());
  const auto got = tmx_stream_read(static_cast<tmx_stream*>(from), buffer.data(), buffer.size());
  if (got == 3) ::pthread_testcancel();
  return nullptr;
}

// As the kernel says: it waits for something.
bool sleeps(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.substr(name_end + 2, 1) == "S";
}

}  // namespace

TEST_CASE("stream.client opens a stream in spite of signals") {
  static std::atomic<int> signals;
  struct sigaction counting{};
  counting.sa_handler = [](int) { ++signals; };
  struct sigaction before{};
  REQUIRE(::sigaction(SIGUSR1, &counting, &before) == 0);
  test::StreamEngine engine;
  engine.before_answer([client = ::pthread_self(), thread = ::gettid()] {
    while (!sleeps(thread)) std::this_thread::yield();
    ::pthread_kill(client, SIGUSR1);
    while (signals == 0) std::this_thread::yield();
  });
  const Opened opened(engine);
  CHECK(opened.error == 0);
  CHECK(signals == 1);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("stream.client's thread that is cancelled ends when its call has") {
  test::StreamEngine engine;
  const Opened opened(engine);
  REQUIRE(opened.error == 0);
  engine.next().data("abc");
  ::pthread_t thread{};
  REQUIRE(::pthread_create(&thread, nullptr, read_cancelled, opened.stream) == 0);
  void* result = nullptr;
  REQUIRE(::pthread_join(thread, &result) == 0);
  CHECK(result == PTHREAD_CANCELED);
}

TEST_CASE("stream.the example prints what the host says, and why it says no more") {
  test::StreamEngine engine;
  const auto command = "TLSMUX_CONTROL_SOCKET=" + engine.control_socket() + " " TLSMUX_STREAM_EXAMPLE " host ask 2>&1";
  const auto run = [&](auto play) {
    FILE* const output = ::popen(command.c_str(), "r");
    REQUIRE(output != nullptr);
    auto end = engine.next();
    CHECK(end.read(100) == "ask\n");
    end.data("answer\n");
    play(end);
    std::string text;
    for (int letter = 0; (letter = std::fgetc(output)) != EOF;) text += static_cast<char>(letter);
    return std::pair(text, WEXITSTATUS(::pclose(output)));
  };
  CHECK((run([](auto& end) { end.closed(); }) == std::pair<std::string, int>("answer\n", 0)));
  CHECK((run([](auto& end) {
           end.end(shm::StreamRecordType::lost, shm::Reason::host_closed, "the host has gone", true);
         }) == std::pair<std::string, int>("perhaps sent: the host has gone\nanswer\n", 1)));
}
