// A redirected socket through a real engine to a real host.

#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "engine/wrapper/addresses.hpp"
#include "tests/control/control_client.hpp"
#include "tests/host/host_process.hpp"
#include "tests/redirect/redirect_rig.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"
#include "tests/wrapper/loopback_listener.hpp"

namespace tlsmux::test {
namespace {

// Under a rule for a port on loopback.
class Scene {
 public:
  explicit Scene(std::uint16_t port) : config_(engine_config(folder_, {host_.port()})), original_(port) {
    set_keyed(config_.upstreams[0]);
    config_.upstreams[0].streams.order = config::StreamOrder::as_asked;
    config_.ssl_wrapper.rules = {
        {.address = "127.0.0.1", .name = {}, .port = port, .upstream = config_.upstreams[0].name}};
    engine_.emplace(folder_, config_);
    engine_->await_sessions(1);
  }

  // Connects `socket` as the library would. Its ticket.
  std::optional<shm::AnnounceStreamReply> redirect(ProgramSocket& socket) {
    ControlClient client(config_.engine.control_socket);
    shm::MatchPeerRequest match;
    match.peer = engine::wrapper::loopback(AF_INET, original_);
    if (!client.send(match)) return std::nullopt;
    const auto matched = client.receive_as<shm::MatchPeerReply>();
    if (!matched || matched->is_shared != 1 || !socket.connect(matched->listener_port)) return std::nullopt;
    shm::AnnounceStreamRequest announce;
    announce.local = socket.local();
    announce.original = match.peer;
    announce.socket_inode = socket.inode();
    announce.upstream = matched->upstream;
    if (!client.send(announce)) return std::nullopt;
    return client.receive_as<shm::AnnounceStreamReply>();
  }

  int stop() { return engine_->stop() + host_.stop(); }

 private:
  const TemporaryFolder folder_;
  host::HostProcess host_{{"--mode", "echo"}};
  config::Config config_;
  std::uint16_t original_;
  std::optional<EngineProcess> engine_;
};

}  // namespace

TEST_CASE("wrapper.a redirected socket speaks with the host through the engine") {
  const Residue residue;
  const LoopbackListener original;
  Scene scene(original.port());
  ProgramSocket socket;
  const auto announced = scene.redirect(socket);
  REQUIRE(announced);
  shm::StreamStart start;
  start.ticket = announced->ticket;
  REQUIRE(socket.send(start));
  CHECK(next_record(socket).type == shm::StreamRecordType::opened);
  const std::string message = "0123456789abcdef and more";
  const std::string framed = std::string{'\0', static_cast<char>(message.size())} + message;
  REQUIRE(socket.send(framed));
  std::string answer;
  while (answer.size() < framed.size()) {
    const auto record = next_record(socket);
    REQUIRE(record.type == shm::StreamRecordType::data);
    answer += record.body;
  }
  CHECK(answer == framed);
  socket.end_writing();
  CHECK(next_record(socket).type == shm::StreamRecordType::closed);
  CHECK(scene.stop() == 0);
}

TEST_CASE("wrapper.a program that speaks first reaches the host that it meant") {
  const Residue residue;
  const LoopbackListener original;
  Scene scene(original.port());
  ProgramSocket socket;
  REQUIRE(scene.redirect(socket));
  REQUIRE(socket.send("EHLO"));
  const auto accepted = original.accept();
  REQUIRE(accepted);
  std::array<char, 4> bytes{};
  REQUIRE(::recv(accepted.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 4);
  CHECK(std::string(bytes.data(), bytes.size()) == "EHLO");
  REQUIRE(::send(accepted.get(), "250", 3, MSG_NOSIGNAL) == 3);
  CHECK(socket.receive(3) == "250");
  CHECK(scene.stop() == 0);
}

}  // namespace tlsmux::test
