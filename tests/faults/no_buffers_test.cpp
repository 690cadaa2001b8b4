// A kernel that has no memory for sockets: ENOBUFS.

#include <doctest/doctest.h>

#include "tests/faults/asking_scene.hpp"
#include "tests/faults/preloaded_engine.hpp"

namespace tlsmux::test {
namespace {

struct Scene : AskingScene {
  Scene() {
    start_engine(host.port(), {}, unlucky.launch());
    begin();
  }

  PreloadedNumber<std::int32_t> unlucky{folder, TLSMUX_NO_BUFFERS, "TLSMUX_NO_BUFFERS"};
  host::HostProcess host{{"--mode", "echo", "--close-after", "3", "--record", record}};
};

}  // namespace

TEST_CASE("faults.the kernel has no memory for another socket: NOT_SENT and why, and again sessions when it has") {
  if (skip_preloading()) return;
  Scene scene;
  scene.unlucky.set(scene.engine->engine_pid());
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);  // what is there serves
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  CHECK(scene.ask_one().outcome == TMX_MAYBE_SENT);  // the host closes
  const auto refused = scene.ask_one();
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(std::string(tmx_reason_name(refused.reason)) == tmx_reason_name(TMX_REASON_CONNECT_FAILED));
  const auto words = scene.requester->upstream_error();
  CHECK_MESSAGE(words.find("No buffer space available") != std::string::npos, words);
  scene.unlucky.set(0);
  scene.engine->await_sessions(2);
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  scene.end();
}

TEST_CASE("faults.the kernel has no memory for control messages: clients go on, and new ones come when it has") {
  if (skip_preloading()) return;
  Scene scene;
  scene.unlucky.set(scene.engine->engine_pid());
  ChildProcess newcomer([&] {
    const auto options = attach_options(scene.config);
    tmx_client* client = nullptr;
    return -tmx_attach(&options, &client);
  });
  scene.engine->log().wait_for("event=descriptors_exhausted");
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  scene.unlucky.set(0);
  CHECK(newcomer.wait() == 0);
  CHECK(scene.engine->log().count("event=engine_died") == 0);
  scene.end();
}

}  // namespace tlsmux::test
