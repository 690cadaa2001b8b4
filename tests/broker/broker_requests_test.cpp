#include "engine/broker/broker_requests.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "config/config_bundle.hpp"
#include "shm/geometry.hpp"
#include "shm/system/sealed_text.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/broker/process.hpp"
#include "tests/support/pem_text.hpp"

using namespace tlsmux;
using engine::broker::Answer;
using engine::broker::BrokerRequests;
using engine::broker::FileKind;
using engine::broker::Operation;
using engine::broker::Request;

namespace {

template <typename Struct>
shm::Packet packet_of(const Struct& message) {
  shm::Packet packet;
  packet.bytes.resize(sizeof message);
  std::memcpy(packet.bytes.data(), &message, sizeof message);
  return packet;
}

config::Config make_config(const test::TemporaryFolder& folder) {
  config::Config config;
  config.groups.resize(1);
  config.groups[0].name = test::unique_group();
  config.upstreams.resize(1);
  auto& tls = config.upstreams[0].tls;
  tls.ca_file = folder.path() + "/ca.pem";
  tls.ca_directory = folder.path() + "/authorities";
  tls.certificate_file = folder.path() + "/client.pem";
  tls.key_file = folder.path() + "/client.key";
  return config;
}

struct Desk {
  test::TemporaryFolder folder;
  config::Config config = make_config(folder);
  engine::Log log{config::LogLevel::error, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)),
                  engine::Log::Mode::synchronous};
  engine::broker::GroupLocks locks{{}};
  engine::broker::CandidateConfig candidate{config, locks, folder.path() + "/config.json"};
  engine::broker::RequestScope scope{
      .config = config, .log = log, .engine_uid = ::geteuid(), .engine_gid = ::getegid(), .candidate = &candidate};
  BrokerRequests requests{scope};

  Answer ask(const Request& request) { return requests.answer(packet_of(request)); }
  int error_of(const Request& request) { return ask(request).reply.error; }
  int error_of_file(FileKind kind, std::uint32_t entry = 0) {
    return error_of({.operation = Operation::open_file, .file = kind, .entry = entry});
  }
};

std::string text_in(const Answer& answer) {
  REQUIRE(answer.reply.error == 0);
  REQUIRE(answer.descriptors.size() == 1);
  std::array<char, 256> text{};
  REQUIRE(::read(answer.descriptors[0].get(), text.data(), text.size()) >= 0);
  return text.data();
}

}  // namespace

TEST_CASE("hostile.broker requests that do not exist are refused and counted") {
  Desk desk;
  const auto refused = [&](const shm::Packet& packet) { return desk.requests.answer(packet).reply.error == EPROTO; };
  CHECK(refused({}));
  const Request good{.operation = Operation::report_serving};
  auto packet = packet_of(good);
  packet.bytes.pop_back();
  CHECK(refused(packet));
  packet.bytes.resize(sizeof good + 1);
  CHECK(refused(packet));
  packet = packet_of(good);
  packet.descriptors.emplace_back(::dup(0));
  CHECK(refused(packet));

  CHECK(desk.error_of({.magic = 1, .operation = Operation::report_serving}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation(0)}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation(99)}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .index = 1}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .file = FileKind::ca_file}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .entry = 1}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .blocks = 1}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .bytes = 1}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .candidate = 1}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::open_file, .file = FileKind::ca_file, .candidate = 2}) == EPROTO);
  CHECK(desk.error_of({.operation = Operation::report_serving, .reserved = 1}) == EPROTO);
  CHECK(desk.requests.malformed() == 15);
  CHECK(!desk.requests.serving());
  CHECK(desk.error_of(good) == 0);
  CHECK(desk.requests.serving());
  CHECK(desk.requests.malformed() == 15);
}

TEST_CASE("hostile.broker answers name the request they are for") {
  Desk desk;
  const auto answer = desk.ask({.operation = Operation::report_serving, .sequence = 42});
  CHECK(answer.reply.sequence == 42);
  CHECK(answer.reply.operation == Operation::report_serving);
}

TEST_CASE("hostile.broker makes group objects of the configuration only") {
  Desk desk;
  const auto ask = [&](std::uint32_t group, std::uint64_t bytes) {
    return desk.error_of({.operation = Operation::create_group_object, .index = group, .bytes = bytes});
  };
  CHECK(ask(1, 4096) == EPROTO);
  CHECK(ask(~0U, 4096) == EPROTO);
  CHECK(ask(0, 0) == EPROTO);
  CHECK(ask(0, 4097) == EPROTO);
  CHECK(ask(0, engine::broker::kGroupBytesMax + 4096) == EPROTO);
  CHECK(ask(0, ~0ULL << 12) == EPROTO);
}

TEST_CASE("engine.broker makes a group object to write and to read and removes it") {
  Desk desk;
  const auto path = "/dev/shm/tlsmux." + desk.config.groups[0].name;
  const auto answer = desk.ask({.operation = Operation::create_group_object, .index = 0, .bytes = 8192});
  REQUIRE(answer.reply.error == 0);
  REQUIRE(answer.descriptors.size() == 2);
  CHECK((::fcntl(answer.descriptors[0].get(), F_GETFL) & O_ACCMODE) == O_RDWR);
  CHECK((::fcntl(answer.descriptors[1].get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
  struct stat writable{};
  struct stat readable{};
  REQUIRE(::fstat(answer.descriptors[0].get(), &writable) == 0);
  REQUIRE(::fstat(answer.descriptors[1].get(), &readable) == 0);
  CHECK(writable.st_ino == readable.st_ino);
  CHECK(writable.st_size == 8192);
  CHECK((writable.st_mode & 0777) == 0640);
  CHECK(std::filesystem::exists(path));
  CHECK(desk.error_of({.operation = Operation::remove_group_objects}) == 0);
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("engine.broker hands over the control socket once there is one") {
  Desk desk;
  CHECK(desk.error_of({.operation = Operation::open_listener}) == EAGAIN);
  desk.requests.set_listener(0);
  const auto answer = desk.ask({.operation = Operation::open_listener});
  CHECK(answer.reply.error == 0);
  REQUIRE(answer.descriptors.size() == 1);
  CHECK(answer.descriptors[0].get() > 2);
}

TEST_CASE("hostile.broker opens no other files than those of the configuration") {
  Desk desk;
  CHECK(desk.error_of({.operation = Operation::open_file, .index = 1, .file = FileKind::ca_file}) == EPROTO);
  CHECK(desk.error_of_file(FileKind::none) == EPROTO);
  CHECK(desk.error_of_file(FileKind(8)) == EPROTO);
  CHECK(desk.error_of_file(FileKind::ca_file, 1) == EPROTO);
  desk.config.upstreams[0].tls = {};
  for (const auto kind :
       {FileKind::ca_file, FileKind::ca_directory_entry, FileKind::certificate_file, FileKind::key_file}) {
    CHECK(desk.error_of_file(kind) == ENOENT);
  }
}

TEST_CASE("engine.broker opens files for reading through links") {
  Desk desk;
  CHECK(desk.error_of_file(FileKind::ca_file) == ENOENT);
  const auto real = desk.folder.add("real.pem", "an authority");
  std::filesystem::create_symlink(real, desk.config.upstreams[0].tls.ca_file);
  const auto answer = desk.ask({.operation = Operation::open_file, .file = FileKind::ca_file});
  CHECK(text_in(answer) == "an authority");
  CHECK((::fcntl(answer.descriptors[0].get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
}

TEST_CASE("hostile.broker does not wait for or hand over what is not a regular file") {
  Desk desk;
  const auto& path = desk.config.upstreams[0].tls.certificate_file;
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(desk.error_of_file(FileKind::certificate_file) == EINVAL);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  CHECK(desk.error_of_file(FileKind::certificate_file) == EINVAL);
  std::filesystem::remove(path);
  REQUIRE(::truncate(desk.folder.add("client.pem", "").c_str(), 17 << 20) == 0);
  CHECK(desk.error_of_file(FileKind::certificate_file) == EFBIG);
}

TEST_CASE("hostile.broker hands over a key only if it is private to root or the engine") {
  Desk desk;
  const auto path = desk.folder.add("client.key", "a key", 0600);
  CHECK(text_in(desk.ask({.operation = Operation::open_file, .file = FileKind::key_file})) == "a key");
  for (const mode_t mode : {0640U, 0604U, 0610U, 0602U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(desk.error_of_file(FileKind::key_file) == EACCES);
  }
  REQUIRE(::chmod(path.c_str(), 0400) == 0);
  if (test::skip_without_root("makes files of another user")) return;
  REQUIRE(::chown(path.c_str(), test::kNobody, test::kNobody) == 0);
  CHECK(desk.error_of_file(FileKind::key_file) == EACCES);
  desk.scope.engine_uid = test::kNobody;
  CHECK(desk.error_of_file(FileKind::key_file) == 0);
}

TEST_CASE("engine.broker opens each file of a directory once") {
  Desk desk;
  CHECK(desk.error_of_file(FileKind::ca_directory_entry) == ENOENT);
  std::filesystem::create_directory(desk.config.upstreams[0].tls.ca_directory);
  std::filesystem::create_directory(desk.config.upstreams[0].tls.ca_directory + "/folder");
  const auto first = desk.folder.add("authorities/b.pem", "b");
  std::ignore = desk.folder.add("authorities/c.pem", "c");
  std::filesystem::create_symlink(first, desk.config.upstreams[0].tls.ca_directory + "/a.0");
  std::filesystem::create_symlink("nowhere", desk.config.upstreams[0].tls.ca_directory + "/d.0");
  REQUIRE(::mkfifo((desk.config.upstreams[0].tls.ca_directory + "/fifo").c_str(), 0600) == 0);

  std::multiset<std::string> texts;
  for (std::uint32_t entry = 0;; ++entry) {
    const auto answer =
        desk.ask({.operation = Operation::open_file, .file = FileKind::ca_directory_entry, .entry = entry});
    if (answer.reply.error == ENOENT) break;
    texts.insert(text_in(answer));
  }
  CHECK(texts == std::multiset<std::string>{"b", "c"});
  CHECK(desk.error_of_file(FileKind::ca_directory_entry, ~0U) == ENOENT);
}

TEST_CASE("hostile.trace numbers are reserved by the chunk and for upstreams that exist") {
  Desk desk;
  desk.config.engine.state_directory = desk.folder.path();
  desk.config.upstreams[0].name = "acquirer";
  const auto ask = [&](std::uint32_t index, std::uint32_t blocks) {
    return desk.ask({.operation = Operation::reserve_trace_numbers, .index = index, .blocks = blocks}).reply;
  };
  const auto begin = [&](engine::TraceHolds held, std::uint32_t begins = 1) {
    return desk
        .ask({.operation = Operation::reserve_trace_numbers, .index = 0, .blocks = 1, .begins = begins, .held = held})
        .reply;
  };
  const auto first = begin({});
  CHECK(first.error == 0);
  CHECK(first.block_count > 0);
  CHECK(first.held.all.count == 0);
  const auto second = ask(0, 1);
  CHECK(second.error == 0);
  CHECK(second.first_block != first.first_block);
  CHECK(begin({}).held.all.count == 1);  // as of the last reservation
  CHECK(begin({}, 2).error == EPROTO);
  CHECK(begin({.kept = {.count = engine::kTraceRangesMax + 1}}).error == EPROTO);
  CHECK(desk.error_of({.operation = Operation::open_listener, .begins = 1}) == EPROTO);
  CHECK(ask(1, 1).error == EPROTO);
  CHECK(ask(0, 0).error == EPROTO);
  CHECK(ask(0, 1'000'000).error == EPROTO);
  CHECK(desk.requests.malformed() == 6);
  desk.config.engine.state_directory = desk.folder.path() + "/nowhere";
  CHECK(ask(0, 1).error == ENOENT);
}

TEST_CASE("engine.broker reads the configuration anew, and adopts it only when told to") {
  Desk desk;
  const auto ask = [&](Operation operation) { return desk.ask({.operation = operation}); };
  const auto text_of_candidate = [&](bool is_refused) {
    const auto answer = ask(Operation::load_candidate);
    REQUIRE(answer.reply.error == 0);
    CHECK(answer.reply.is_refused == (is_refused ? 1 : 0));
    REQUIRE(answer.descriptors.size() == 1);
    const auto text = shm::read_sealed_text(answer.descriptors[0].get(), 1 << 20);
    REQUIRE(text);
    return *text;
  };
  const auto error_of_second = [&](bool candidate) {
    return desk.error_of(
        {.operation = Operation::open_file, .index = 1, .file = FileKind::ca_file, .candidate = candidate ? 1U : 0U});
  };
  CHECK(text_of_candidate(true).find("config.json") != std::string::npos);  // there is none
  CHECK(ask(Operation::adopt_candidate).reply.error == ENOENT);

  const auto ca_file = desk.folder.add("authority.pem", test::kPemText);
  const auto group = test::unique_group();
  const auto upstream = [&](const std::string& name) {
    return R"({"name": ")" + name + R"(", "groups": [")" + group +
           R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}],)" + R"("tls": {"ca_file": ")" + ca_file + R"("}})";
  };
  const auto text = R"({"groups": [{"name": ")" + group + R"(", "users": ["0"]}], "upstreams": [)" + upstream("one") +
                    "," + upstream("two") + "]}";
  std::ignore = desk.folder.add("config.json", text);
  const auto bundle = config::parse_bundle(text_of_candidate(false));
  REQUIRE(bundle);
  CHECK(bundle->text == text);
  CHECK(desk.config.upstreams.size() == 1);
  CHECK(error_of_second(true) == 0);
  CHECK(error_of_second(false) == EPROTO);

  CHECK(ask(Operation::drop_candidate).reply.error == 0);
  CHECK(error_of_second(true) == EPROTO);
  CHECK(text_of_candidate(false).size() > text.size());
  CHECK(ask(Operation::adopt_candidate).reply.error == 0);
  CHECK(desk.config.upstreams.size() == 2);
  CHECK(desk.config.upstreams[1].name == "two");
  CHECK(error_of_second(false) == 0);
  CHECK(ask(Operation::adopt_candidate).reply.error == ENOENT);
}

TEST_CASE("hostile.broker makes objects of a candidate's groups only where it adds them") {
  Desk desk;
  const auto ca_file = desk.folder.add("authority.pem", test::kPemText);
  const auto load = [&](const std::vector<std::string>& groups) {
    std::string list;
    for (const auto& group : groups)
      list += (list.empty() ? "" : ",") + (R"({"name": ")" + group + R"(", "users": ["0"]})");
    std::filesystem::remove(desk.folder.path() + "/config.json");
    std::ignore = desk.folder.add(
        "config.json", R"({"groups": [)" + list + R"(], "upstreams": [{"name": "host", "groups": [")" + groups.back() +
                           R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"ca_file": ")" + ca_file +
                           R"("}}]})");
    return desk.ask({.operation = Operation::load_candidate});
  };
  const auto ask = [&](std::uint32_t group) {
    return desk.ask({.operation = Operation::create_group_object, .index = group, .bytes = 8192, .candidate = 1});
  };
  const auto exists = [](const std::string& group, const std::string& suffix = {}) {
    return std::filesystem::exists("/dev/shm/tlsmux." + group + suffix);
  };
  const auto old_group = desk.config.groups[0].name;
  const auto new_group = test::unique_group();
  CHECK(ask(0).reply.error == EPROTO);  // there is no candidate
  {
    auto answer = load({old_group});
    REQUIRE(answer.reply.is_refused == 0);
    CHECK(desk.ask({.operation = Operation::adopt_candidate}).reply.error == 0);
  }
  CHECK(exists(old_group, ".lock"));

  REQUIRE(load({old_group, new_group}).reply.is_refused == 0);
  CHECK(exists(new_group, ".lock"));
  CHECK(ask(0).reply.error == EPROTO);  // the present one is in use
  CHECK(ask(2).reply.error == EPROTO);
  {
    const auto answer = ask(1);
    CHECK(answer.reply.error == 0);
    CHECK(answer.descriptors.size() == 3);
  }
  CHECK(exists(new_group));
  CHECK(desk.error_of({.operation = Operation::drop_candidate}) == 0);
  CHECK(!exists(new_group));
  CHECK(!exists(new_group, ".lock"));
  CHECK(exists(old_group, ".lock"));

  {
    const auto served = engine::broker::GroupLock::take(new_group);
    REQUIRE(served);
    const auto refused = load({old_group, new_group});
    CHECK(refused.reply.is_refused == 1);
    const auto text = shm::read_sealed_text(refused.descriptors[0].get(), 1 << 20);
    REQUIRE(text);
    CHECK(text->find("/groups/1: group " + new_group + " is served by a live engine") != std::string::npos);
    CHECK(ask(1).reply.error == EPROTO);
    CHECK(desk.error_of({.operation = Operation::adopt_candidate}) == ENOENT);
  }
  CHECK(desk.error_of({.operation = Operation::create_group_object, .index = 0, .bytes = 8192}) == 0);
  CHECK(exists(old_group));
  REQUIRE(load({new_group}).reply.is_refused == 0);
  REQUIRE(ask(0).reply.error == 0);
  CHECK(desk.error_of({.operation = Operation::adopt_candidate}) == 0);
  CHECK(!exists(old_group));
  CHECK(!exists(old_group, ".lock"));
  CHECK(exists(new_group));
  CHECK(!engine::broker::GroupLock::take(new_group));
  CHECK(desk.error_of({.operation = Operation::remove_group_objects}) == 0);
}
