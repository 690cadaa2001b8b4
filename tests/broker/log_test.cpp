#include "engine/log/log.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/log/event_log.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::Log;

namespace {

// A pipe that is full to the last byte.
shm::UniqueFd fill(std::array<int, 2>& ends) {
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const std::array<char, 4096> bytes{};
  while (::write(ends[1], bytes.data(), bytes.size()) > 0) continue;
  return shm::UniqueFd(ends[1]);
}

void empty(int fd) {
  std::array<char, 65536> bytes{};
  while (::read(fd, bytes.data(), bytes.size()) > 0) continue;
}

}  // namespace

TEST_CASE("engine.log values cannot look like other fields or lines") {
  CHECK(engine::format_event("a", {{"n", 7}, {"m", -7}, {"u", std::uint64_t(~0ULL)}, {"t", "plain"}}) ==
        "event=a n=7 m=-7 u=18446744073709551615 t=plain");
  CHECK(engine::format_event("a", {{"t", ""}}) == "event=a t=\"\"");
  CHECK(engine::format_event("a", {{"t", "two words"}}) == "event=a t=\"two words\"");
  CHECK(engine::format_event("a", {{"t", "x=1"}}) == "event=a t=\"x=1\"");
  CHECK(engine::format_event("a", {{"t", "say \"no\" \\"}}) == "event=a t=\"say \\\"no\\\" \\\\\"");
  CHECK(engine::format_event("a", {{"t", "one\nlevel=error"}}) == "event=a t=\"one\\nlevel=error\"");
  CHECK(engine::format_event("a", {{"t", "\x1b[2J\x7f\xc2\x9b"}}) == "event=a t=\"\\x1b[2J\\x7f\\xc2\\x9b\"");
  CHECK(engine::format_event("a", {{"t", std::string_view("\0b", 2)}}) == "event=a t=\"\\x00b\"");
}

TEST_CASE("engine.log lines have time and level and those below the level are left out") {
  test::LogPipe pipe;
  {
    Log log(config::LogLevel::warning, pipe.take_writing_end(), Log::Mode::synchronous);
    log.debug("d");
    log.info("i");
    log.warning("w", {{"upstream", "acquirer"}});
    log.error("e");
  }
  const auto warning = pipe.wait_for("event=");
  CHECK(warning.substr(23) == "Z level=warning event=w upstream=acquirer");
  CHECK(warning[10] == 'T');
  CHECK(warning[19] == '.');
  CHECK(pipe.rest().substr(23) == "Z level=error event=e\n");
}

TEST_CASE("engine.log asynchronous lines all come in order") {
  test::LogPipe pipe;
  {
    Log log(config::LogLevel::info, pipe.take_writing_end(), Log::Mode::asynchronous);
    for (int i = 0; i < 500; ++i) log.info("count", {{"i", i}});
  }
  for (int i = 0; i < 500; ++i) CHECK(test::value_in(pipe.wait_for("event="), "i") == std::to_string(i));
  CHECK(pipe.rest().empty());
}

TEST_CASE("engine.log with nobody reading neither blocks nor hides that lines were lost") {
  std::array<int, 2> ends{};
  auto writing = fill(ends);
  const shm::UniqueFd reading(ends[0]);
  SUBCASE("asynchronous") {
    // Far more than the queue holds: the oldest go, the caller never waits, and so does the end.
    Log log(config::LogLevel::info, std::move(writing), Log::Mode::asynchronous);
    for (int i = 0; i < 20'000; ++i) log.info("count", {{"i", i}});
    CHECK(log.lines_lost() > 0);
  }
  SUBCASE("synchronous") {
    // NOLINTNEXTLINE(bugprone-use-after-move): one part runs at a time
    Log log(config::LogLevel::info, std::move(writing), Log::Mode::synchronous);
    log.info("lost");
    CHECK(log.lines_lost() == 1);
    empty(reading.get());
    log.info("written");
    std::array<char, 512> text{};
    REQUIRE(::read(reading.get(), text.data(), text.size()) > 0);
    const std::string lines(text.data());
    CHECK(lines.find("level=warning event=log_lines_lost count=1\n") != std::string::npos);
    CHECK(lines.find("event=written\n") != std::string::npos);
  }
}

TEST_CASE("engine.log line that a full disk has torn spoils no other, and standard error hears of it once") {
  const test::TemporaryFolder folder;
  const auto file = folder.path("log");
  test::LogPipe standard_error;
  {
    const auto end = standard_error.take_writing_end();
    test::ChildProcess writer([&] {
      auto output = engine::open_log({.level = config::LogLevel::info, .file = file});
      if (!output || ::dup2(end.get(), STDERR_FILENO) < 0) return 1;
      std::ignore = ::signal(SIGXFSZ, SIG_IGN);
      Log log(config::LogLevel::info, std::move(*output), Log::Mode::synchronous);
      log.info("before");
      rlimit bytes{};
      if (::getrlimit(RLIMIT_FSIZE, &bytes) != 0) return 2;
      const auto room = std::exchange(bytes.rlim_cur, std::filesystem::file_size(file) + 20);
      if (::setrlimit(RLIMIT_FSIZE, &bytes) != 0) return 3;
      log.info("torn");
      log.info("lost");
      bytes.rlim_cur = room;
      if (::setrlimit(RLIMIT_FSIZE, &bytes) != 0) return 4;
      log.info("after");
      return 0;
    });
    CHECK(writer.wait() == 0);
  }
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].substr(23) == "Z level=info event=before");
  CHECK(lines[1].size() == 20);
  CHECK(lines[2].substr(23) == "Z level=warning event=log_lines_lost count=2");
  CHECK(lines[3].substr(23) == "Z level=info event=after");
  CHECK(standard_error.rest() == "tlsmuxd: lines of the log cannot be written and are lost: No space left on device\n");
}

TEST_CASE("engine.log lines of one user's streams hide none of another's") {
  test::LogPipe pipe;
  {
    Log log(config::LogLevel::info, pipe.take_writing_end(), Log::Mode::synchronous);
    engine::EventLog events(log);
    const auto refuse = [&](std::uint64_t stream, std::uint32_t uid) {
      events.event(
          {.kind = engine::mux::EventKind::stream_ended, .words = "full", .stream = stream, .pid = 1, .uid = uid});
    };
    for (std::uint64_t stream = 1; stream <= 100; ++stream) refuse(stream, 1000);
    refuse(101, 2000);
  }
  const auto lines = pipe.rest();
  CHECK(lines.contains(" stream=1 "));
  CHECK_FALSE(lines.contains(" stream=100 "));
  CHECK(lines.contains(" stream=101 "));
}

TEST_CASE("engine.log line is cut to what a pipe takes in one piece") {
  test::LogPipe pipe;
  {
    Log log(config::LogLevel::info, pipe.take_writing_end(), Log::Mode::synchronous);
    log.info("long", {{"text", std::string(10'000, 'x')}});
  }
  CHECK(pipe.rest().size() == 4096);
}

TEST_CASE("engine.log file is appended to") {
  const test::TemporaryFolder folder;
  const auto file = folder.add("log", "before\n");
  auto output = engine::open_log({.level = config::LogLevel::info, .file = file});
  REQUIRE(output);
  {
    Log(config::LogLevel::info, std::move(*output), Log::Mode::synchronous).info("after");
  }
  std::ifstream stream(file);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  CHECK(text.starts_with("before\n"));
  CHECK(text.ends_with("level=info event=after\n"));
  const auto failed = engine::open_log({.level = config::LogLevel::info, .file = folder.path() + "/none/log"});
  REQUIRE(!failed);
  CHECK(failed.error().code == ENOENT);
}

TEST_CASE("engine.log file that is copied and emptied goes on from its start") {
  const test::TemporaryFolder folder;
  const auto file = folder.path("log");
  auto output = engine::open_log({.level = config::LogLevel::info, .file = file});
  REQUIRE(output);
  Log log(config::LogLevel::info, std::move(*output), Log::Mode::synchronous);
  log.info("before");
  const auto bytes = std::filesystem::file_size(file);
  std::filesystem::resize_file(file, 0);
  log.info("afterw");
  CHECK(std::filesystem::file_size(file) == bytes);
}

TEST_CASE("engine.log file that is a FIFO or a socket keeps nobody waiting and is refused") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/log";
  REQUIRE(::mkfifo(path.c_str(), 0666) == 0);
  const auto unread = engine::open_log({.level = config::LogLevel::info, .file = path});
  REQUIRE(!unread);
  CHECK(unread.error().message.find(path) != std::string::npos);
  const shm::UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const auto read = engine::open_log({.level = config::LogLevel::info, .file = path});
  REQUIRE(!read);
  CHECK(read.error().message.find("is no file") != std::string::npos);
}

TEST_CASE("engine.log file may be a link of root's or of who runs this, also to what a process has open") {
  const test::TemporaryFolder folder;
  const auto file = folder.add("file", "");
  std::filesystem::create_symlink("file", folder.path() + "/first");
  std::filesystem::create_symlink(folder.path() + "/first", folder.path() + "/second");
  const auto write_to = [](const std::string& path) {
    auto output = engine::open_log({.level = config::LogLevel::info, .file = path});
    REQUIRE_MESSAGE(output, output.error().message);
    Log(config::LogLevel::info, std::move(*output), Log::Mode::synchronous).info("event");
  };
  write_to(folder.path() + "/second");
  CHECK(std::filesystem::file_size(file) > 0);
  // As /dev/stdout is one, for a pipe here.
  test::LogPipe pipe;
  const auto end = pipe.take_writing_end();
  const auto path = "/proc/self/fd/" + std::to_string(end.get());
  write_to(path);
  CHECK(!pipe.wait_for("event=event").empty());
  std::filesystem::create_symlink("loop", folder.path() + "/loop");
  const auto loop = engine::open_log({.level = config::LogLevel::info, .file = folder.path() + "/loop"});
  REQUIRE(!loop);
  CHECK(loop.error().code == ELOOP);
}

TEST_CASE("hostile.log file in a folder of another user leads root nowhere else") {
  if (test::skip_without_root("makes links of another user")) return;
  const test::TemporaryFolder folder;
  const auto target = folder.add("target", "as it was");
  const auto log = folder.path() + "/log";
  std::filesystem::create_symlink(target, log);
  REQUIRE(::lchown(log.c_str(), test::kNobody, test::kNobody) == 0);
  const auto refused = engine::open_log({.level = config::LogLevel::info, .file = log});
  REQUIRE(!refused);
  CHECK(refused.error().code == EPERM);
  CHECK(refused.error().message.find("a symbolic link of uid 65534") != std::string::npos);
  // Nor by a link of ours that leads to one of theirs.
  std::filesystem::create_symlink(log, folder.path() + "/ours");
  CHECK(!engine::open_log({.level = config::LogLevel::info, .file = folder.path() + "/ours"}));
  CHECK(std::filesystem::file_size(target) == 9);
}
