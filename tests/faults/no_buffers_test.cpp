// A kernel that has no memory for sockets: ENOBUFS.

#include <doctest/doctest.h>

#include "tests/faults/preloaded_engine.hpp"
#include "tests/faults/rig.hpp"
#include "tests/faults/truth.hpp"

namespace tlsmux::test {
namespace {

struct Scene {
  Scene() : record(folder.path() + "/record"), host({"--mode", "echo", "--close-after", "3", "--record", record}) {
    config = engine_config(folder, {host.port()});
    set_keyed(config.upstreams[0]);
    engine = std::make_unique<EngineProcess>(folder, config, unlucky.launch());
    engine->await_sessions(1);
    requester = std::make_unique<Requester>(config);
  }
  Ended ask() {
    const auto tag = all.size() + 1;
    CHECK(requester->submit(keyed_message(tag), tag, 20'000) == 0);
    all.push_back(requester->take_one());
    return all.back();
  }
  void end() {
    check_truth(all, read_host_records({record}));
    CHECK(engine->stop() == 0);
  }

  Residue residue;
  TemporaryFolder folder;
  PreloadedNumber<std::int32_t> unlucky{folder, TLSMUX_NO_BUFFERS, "TLSMUX_NO_BUFFERS"};
  std::string record;
  host::HostProcess host;
  config::Config config;
  std::unique_ptr<EngineProcess> engine;
  std::unique_ptr<Requester> requester;
  std::vector<Ended> all;
};

}  // namespace

TEST_CASE("faults.the kernel has no memory for another socket: NOT_SENT and why, and again sessions when it has") {
  if (skip_under_sanitizer()) return;
  Scene scene;
  scene.unlucky.set(scene.engine->engine_pid());
  CHECK(scene.ask().outcome == TMX_ANSWERED);  // what is there serves
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  CHECK(scene.ask().outcome == TMX_MAYBE_SENT);  // the host closes
  const auto refused = scene.ask();
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(std::string(tmx_reason_name(refused.reason)) == tmx_reason_name(TMX_REASON_CONNECT_FAILED));
  const auto words = scene.requester->upstream_error();
  CHECK_MESSAGE(words.find("No buffer space available") != std::string::npos, words);
  scene.unlucky.set(0);
  scene.engine->await_sessions(2);
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  scene.end();
}

TEST_CASE("faults.the kernel has no memory for control messages: clients go on, and new ones come when it has") {
  if (skip_under_sanitizer()) return;
  Scene scene;
  scene.unlucky.set(scene.engine->engine_pid());
  ChildProcess newcomer([&] {
    const auto options = attach_options(scene.config);
    tmx_client* client = nullptr;
    return -tmx_attach(&options, &client);
  });
  scene.engine->log().wait_for("event=descriptors_exhausted");
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  scene.unlucky.set(0);
  CHECK(newcomer.wait() == 0);
  CHECK(scene.engine->log().count("event=engine_died") == 0);
  scene.end();
}

}  // namespace tlsmux::test
