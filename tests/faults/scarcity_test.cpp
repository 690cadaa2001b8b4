// Machines that have nothing left: memory for segments, descriptors, room for logs; and what goes on without it.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>

#include "shm/segment.hpp"
#include "tests/faults/asking_scene.hpp"
#include "tests/faults/private_mounts.hpp"
#include "tests/faults/rig.hpp"
#include "tests/faults/truth.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

constexpr const char* kSharedMemory = "/dev/shm";
constexpr std::size_t kMemoryBytes = 64UL << 20U;

std::string object_path(const std::string& group) {
  return std::string(kSharedMemory) + "/" + shm::group_object_name(group);
}

// No further descriptor for a process while the object lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(pid_t pid) : pid_(pid) {
    rlimit none{};
    REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &before_) == 0);
    none = {.rlim_cur = 0, .rlim_max = before_.rlim_max};
    REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &none, nullptr) == 0);
  }
  ~DescriptorLimit() { ::prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  pid_t pid_;
  rlimit before_{};
};

// Until a new engine has its session. Each attempt is a request with a number of its own.
void ask_until_answered(Requester& requester, std::vector<Ended>& all) {
  await([&] {
    const auto tag = all.size() + 1;
    requester.submit_surely(keyed_message(tag), tag, 20'000);
    all.push_back(requester.take_one());
    return all.back().outcome == TMX_ANSWERED;
  });
}

std::string read_text(const std::string& path) { return std::filesystem::exists(path) ? host::read_file(path) : ""; }

}  // namespace

TEST_CASE("faults./dev/shm is full when tlsmuxd starts: it says so and leaves nothing") {
  if (skip_without_private_mounts()) return;
  const Residue residue;
  PrivateMounts mounts;
  mounts.mount(kSharedMemory, 64UL << 10U);
  const TemporaryFolder folder;
  const auto config = engine_config(folder, {1});
  EngineProcess engine(folder, config, {.wait_until_serving = false});
  const auto line = engine.log().wait_for("No space left on device");
  CHECK_MESSAGE(line.find(shm::group_object_name(config.groups[0].name)) != std::string::npos, line);
  CHECK(engine.wait() != 0);
  CHECK_FALSE(std::filesystem::exists(config.engine.control_socket));
  CHECK(group_objects().empty());
}

TEST_CASE("faults./dev/shm fills up: what runs goes on, and a killed engine comes back when there is room") {
  if (skip_without_private_mounts()) return;
  const Residue residue;
  PrivateMounts mounts;
  mounts.mount(kSharedMemory, kMemoryBytes);
  Rig rig({"--mode", "echo", "--silent-after", "1"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  std::vector<Ended> all;
  {
    const Filler filler(kSharedMemory);
    CHECK(requester.submit(keyed_message(1), 1) == 0);
    all.push_back(requester.take_one());
    CHECK(all.back().outcome == TMX_ANSWERED);
    CHECK(requester.submit(keyed_message(2), 2) == 0);
    rig.await_received(2);
    REQUIRE(::kill(rig.engine().engine_pid(), SIGKILL) == 0);
    all.push_back(requester.take_one());
    CHECK(all.back().outcome == TMX_MAYBE_SENT);
    CHECK(all.back().reason == TMX_REASON_ENGINE_DIED);
    rig.engine().log().wait_for("No space left on device");
  }
  ask_until_answered(requester, all);
  check_truth(all, rig.receipts());
  rig.stop();
}

TEST_CASE("faults.the engine has no descriptors left: NOT_SENT and why, and again sessions when it has") {
  AskingScene scene;
  const host::HostProcess host({"--mode", "echo", "--close-after", "2", "--record", scene.record});
  scene.start_engine(host.port());
  scene.begin();
  {
    const DescriptorLimit limit(scene.engine->engine_pid());
    CHECK(scene.ask_one().outcome == TMX_ANSWERED);  // what is there serves
    CHECK(scene.ask_one().outcome == TMX_MAYBE_SENT);
    const auto refused = scene.ask_one();
    CHECK(refused.outcome == TMX_NOT_SENT);
    CHECK(std::string(tmx_reason_name(refused.reason)) == tmx_reason_name(TMX_REASON_CONNECT_FAILED));
    const auto error = scene.requester->upstream_error();
    CHECK_MESSAGE(error.find("Too many open files") != std::string::npos, error);
    CHECK(count_receipts(scene.receipts()) == 2);
  }
  scene.engine->await_sessions(2);
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  scene.end();
}

TEST_CASE("faults.the disk is full for the log: requests go on, and the log says what it has lost") {
  if (skip_without_private_mounts()) return;
  const Residue residue;
  const TemporaryFolder folder;  // goes after what is mounted in it
  PrivateMounts mounts;
  const auto logs = folder.path() + "/logs";
  REQUIRE(::mkdir(logs.c_str(), 0755) == 0);
  mounts.mount(logs, 64UL << 10U);
  const auto record = folder.path() + "/record";
  const host::HostProcess host({"--mode", "echo", "--close-after", "2", "--record", record});
  auto config = engine_config(folder, {host.port()});
  set_keyed(config.upstreams[0]);
  config.engine.log.file = logs + "/log";
  EngineProcess engine(folder, config, {.wait_until_serving = false});
  await([&] { return read_text(config.engine.log.file).find("event=session_ready") != std::string::npos; });
  Requester requester(config);
  std::vector<Ended> all;
  const auto ask = [&] {
    const auto tag = all.size() + 1;
    requester.submit_surely(keyed_message(tag), tag, 20'000);
    all.push_back(requester.take_one());
  };
  {
    const Filler filler(logs);
    for (int i = 0; i < 100; ++i) ask();  // each other one ends its session, which is a line in the log, and several
  }
  CHECK(count_ended(all, TMX_ANSWERED) == 50);
  await([&] {
    ask();
    return read_text(config.engine.log.file).find("event=log_lines_lost") != std::string::npos;
  });
  check_truth(all, read_host_records({record}));
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.the segment is truncated underneath: the engine ends and says why, and the next makes another") {
  if (skip_without_root("only root and the engine's user can write the object")) return;
  for (const off_t left : {0, 4096}) {
    CAPTURE(left);
    Rig rig({"--mode", "echo", "--silent-after", "1"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
    rig.engine().await_sessions(1);
    Requester requester(rig.config);
    std::vector<Ended> all;
    CHECK(requester.submit(keyed_message(1), 1) == 0);
    all.push_back(requester.take_one());
    CHECK(all.back().outcome == TMX_ANSWERED);
    CHECK(requester.submit(keyed_message(2), 2) == 0);
    rig.await_received(2);
    const auto first_pid = rig.engine().engine_pid();
    REQUIRE(::truncate(object_path(rig.group()).c_str(), left) == 0);
    // One more, so that there is something to write down; the engine may have noticed already.
    const bool is_asked = requester.submit(keyed_message(3), 3) == 0;
    for (auto& ended : requester.take(is_asked ? 2 : 1)) {
      CHECK(ended.reason == TMX_REASON_ENGINE_DIED);
      CHECK((ended.outcome == TMX_MAYBE_SENT || ended.tag == 3));
      all.push_back(std::move(ended));
    }
    rig.engine().await_restart(first_pid);
    ask_until_answered(requester, all);
    const auto end = rig.engine().log().wait_for("event=engine_died");
    CHECK_MESSAGE(end.find("Bus error") != std::string::npos, end);
    const auto line = rig.engine().log().wait_for("event=group_object_truncated");
    CHECK_MESSAGE(line.find("file=" + object_path(rig.group())) != std::string::npos, line);
    CHECK_MESSAGE(line.find("bytes=" + std::to_string(left) + " ") != std::string::npos, line);
    const Requester newcomer(rig.config);  // has the new one
    check_truth(all, rig.receipts());
    rig.stop();
  }
}

TEST_CASE("faults.a client's memory cannot be truncated, nor holes be made in it, not by root either") {
  if (skip_without_root("root may open what others have")) return;
  Rig rig({"--mode", "echo"});
  Requester requester(rig.config);
  CHECK(requester.ask("before").outcome == TMX_ANSWERED);
  std::size_t tried = 0;
  for (const auto pid : {rig.engine().engine_pid(), ::getpid()}) {
    const auto process = "/proc/" + std::to_string(pid);
    for (const auto* folder : {"/fd", "/map_files"}) {
      for (const auto& entry : std::filesystem::directory_iterator(process + folder)) {
        std::error_code error;
        if (std::filesystem::read_symlink(entry, error).string().find("memfd:tlsmux-client") == std::string::npos)
          continue;
        CAPTURE(entry.path().string());
        ++tried;
        CHECK(::truncate(entry.path().c_str(), 0) == -1);
        CHECK(errno == EPERM);
        const shm::UniqueFd writable(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
        if (!writable) continue;
        CHECK(::fallocate(writable.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
        CHECK(errno == EPERM);
        CHECK(::write(writable.get(), "x", 1) == -1);
        CHECK(errno == EPERM);
      }
    }
  }
  CHECK(tried > 0);
  CHECK(requester.ask("after").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("faults.the segment is deleted underneath: clients go on, new ones come, and the next engine makes another") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  std::vector<Ended> all;
  ask_until_answered(requester, all);
  REQUIRE(::unlink(object_path(rig.group()).c_str()) == 0);
  CHECK(requester.submit(keyed_message(2), 2) == 0);
  all.push_back(requester.take_one());
  CHECK(all.back().outcome == TMX_ANSWERED);
  {
    Requester second(rig.config);
    CHECK(second.submit(keyed_message(3), 3) == 0);
    all.push_back(second.take_one());
    CHECK(all.back().outcome == TMX_ANSWERED);
  }
  rig.engine().kill_engine();
  ask_until_answered(requester, all);
  CHECK(std::filesystem::exists(object_path(rig.group())));
  check_truth(all, rig.receipts());
  rig.stop();
}

}  // namespace tlsmux::test
