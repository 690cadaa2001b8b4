// Who may attach, and to what.

#include <grp.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"

namespace tlsmux::test {
namespace {

constexpr gid_t kMembersGroup = 54'321;  // no such Unix group need exist

// The result of attaching, opening and one request, as a process with these ids: 0 when it was answered, else the
// errno; the engine's words go to `words`.
struct Attempt {
  int error = 0;
  std::string words;
};

Attempt attempt_as(const config::Config& config, uid_t uid, const std::vector<gid_t>& groups) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const shm::UniqueFd reading(ends[0]);
  shm::UniqueFd writing(ends[1]);
  ChildProcess child([&] {
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(uid, uid, uid) != 0) return 255;
    if (::setresuid(uid, uid, uid) != 0) return 255;
    std::array<char, 256> words{};
    auto options = attach_options(config);
    options.error_text = words.data();
    options.error_text_bytes = words.size();
    tmx_client* client = nullptr;
    if (const int error = tmx_attach(&options, &client); error != 0) {
      [[maybe_unused]] const auto written = ::write(writing.get(), words.data(), words.size());
      return -error;
    }
    tmx_channel* channel = nullptr;
    if (const int error = tmx_channel_open(client, "acquirer", &channel); error != 0) return -error;
    tmx_result result{};
    if (const int error = tmx_call(channel, "hello", 5, nullptr, 0, 0, &result); error != 0) return -error;
    return result.outcome == TMX_ANSWERED ? 0 : 254;
  });
  Attempt attempt{.error = child.wait(), .words = {}};
  writing.reset();
  std::array<char, 256> words{};
  if (::read(reading.get(), words.data(), words.size()) > 0) attempt.words = words.data();
  return attempt;
}

}  // namespace

TEST_CASE("faults.a user who is no member gets EACCES") {
  if (skip_without_root("it becomes another user")) return;
  Rig rig({"--mode", "echo"});
  const auto attempt = attempt_as(rig.config, kNobody, {});
  CHECK(attempt.error == EACCES);
  CHECK_MESSAGE(attempt.words.find("uid 65534 is not a member of group " + rig.group()) != std::string::npos,
                attempt.words);
  const auto line = rig.engine().log().wait_for("event=client_refused");
  CHECK_MESSAGE(line.find("uid=65534") != std::string::npos, line);
  CHECK(attempt_as(rig.config, 0, {}).error == 0);
  CHECK(group_facts(rig.group()).clients.size() <= 1);
  rig.stop();
}

TEST_CASE("faults.a member by a supplementary group") {
  if (skip_without_root("it takes a Unix group and becomes another user")) return;
  Rig rig({"--mode", "echo"}, [](config::Config& config) {
    config.groups[0].users.clear();
    config.groups[0].unix_groups = {std::to_string(kMembersGroup)};
  });
  CHECK(attempt_as(rig.config, kNobody, {100, kMembersGroup, 200}).error == 0);
  CHECK(attempt_as(rig.config, kNobody, {100, 200}).error == EACCES);
  CHECK(attempt_as(rig.config, 0, {}).error == EACCES);  // not even root
  rig.stop();
}

TEST_CASE("faults.groups and upstreams that are not there, or not for this group") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) {
    auto other = config.groups[0];
    other.name = unique_group();
    config.groups.push_back(other);
    auto theirs = config.upstreams[0];
    theirs.name = "theirs";
    theirs.groups = {other.name};
    config.upstreams.push_back(theirs);
  });
  std::array<char, 256> words{};
  auto options = attach_options(rig.config);
  options.group = "NO-SUCH-GROUP";
  options.error_text = words.data();
  options.error_text_bytes = words.size();
  tmx_client* client = nullptr;
  CHECK(tmx_attach(&options, &client) == -ENOENT);
  CHECK(std::string(words.data()).find("no such group") != std::string::npos);

  options.group = rig.group().c_str();
  REQUIRE(tmx_attach(&options, &client) == 0);
  tmx_channel* channel = nullptr;
  CHECK(tmx_channel_open(client, "nowhere", &channel) == -ENOENT);
  CHECK(tmx_channel_open(client, "theirs", &channel) == -EACCES);
  CHECK(tmx_client_last_error(client, words.data(), words.size()) > 0);
  CHECK(std::string(words.data()) == "the group may not use this upstream");
  CHECK(tmx_detach(client) == 0);

  Requester member(rig.config, rig.config.groups[1].name, "theirs");
  CHECK(member.ask("a request").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("faults.no engine is running") {
  const Residue residue;
  const TemporaryFolder folder;
  const auto config = engine_config(folder, {1});
  std::array<char, 256> words{};
  auto options = attach_options(config);
  options.timeout_ms = 100;
  options.error_text = words.data();
  options.error_text_bytes = words.size();
  tmx_client* client = nullptr;
  CHECK(tmx_attach(&options, &client) == -ECONNREFUSED);
  CHECK(std::string(words.data()).find("is tlsmuxd running?") != std::string::npos);
}

}  // namespace tlsmux::test
