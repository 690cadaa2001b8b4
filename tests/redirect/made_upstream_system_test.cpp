// Upstreams that a real engine makes for names that programs ask for. "localhost" is the one name that needs no DNS.

#include <filesystem>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "engine/wrapper/addresses.hpp"
#include "tests/control/control_client.hpp"
#include "tests/host/host_process.hpp"
#include "tests/redirect/redirect_rig.hpp"
#include "tests/system/await.hpp"
#include "tests/system/command.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

const std::string kName = "localhost";

// Two hosts; for each a rule that makes an upstream for kName and its port, by a model whose own host is nowhere.
class Scene {
 public:
  explicit Scene(std::uint32_t created_max) : config_(engine_config(folder_, {1})) {
    auto& model = config_.upstreams[0];
    model.name = "model";
    model.sessions = 0;
    model.sessions_max = 1;
    model.streams.kind = config::StreamKind::leased;
    model.streams.idle_max_ms = 0;
    for (const auto* const host : {&first_, &second_}) {
      config_.ssl_wrapper.rules.push_back(
          {.address = {}, .name = kName, .port = host->port(), .upstream = model.name, .create = true});
    }
    config_.ssl_wrapper.created_max = created_max;
    engine_.emplace(folder_, config_);
  }

  config::Config& config() { return config_; }
  EngineProcess& engine() { return *engine_; }
  host::HostProcess& first() { return first_; }
  host::HostProcess& second() { return second_; }
  [[nodiscard]] std::string first_upstream() const { return kName + ":" + std::to_string(first_.port()); }
  [[nodiscard]] std::string second_upstream() const { return kName + ":" + std::to_string(second_.port()); }

  [[nodiscard]] static shm::MatchPeerRequest question(const host::HostProcess& host, std::string_view name = kName) {
    shm::MatchPeerRequest match;
    match.peer = engine::wrapper::loopback(AF_INET, host.port());
    shm::set_text(match.server_name, name);
    return match;
  }

  // The upstream for a program that asks by name; empty: not shared.
  std::string upstream_for(const host::HostProcess& host, std::string_view name = kName) {
    ControlClient client(config_.engine.control_socket);
    REQUIRE(client.send(question(host, name)));
    const auto matched = client.receive_as<shm::MatchPeerReply>();
    REQUIRE(matched);
    return matched->is_shared == 0 ? std::string() : std::string(shm::text_of(matched->upstream));
  }

  // A program's whole life, as the library would lead it: a message to the host, and its answer.
  void ask(const host::HostProcess& host) {
    ControlClient client(config_.engine.control_socket);
    const auto match = question(host);
    REQUIRE(client.send(match));
    const auto matched = client.receive_as<shm::MatchPeerReply>();
    REQUIRE(matched);
    REQUIRE(matched->is_shared == 1);
    ProgramSocket socket;
    REQUIRE(socket.connect(matched->listener_port));
    shm::AnnounceStreamRequest announce;
    announce.local = socket.local();
    announce.original = match.peer;
    announce.socket_inode = socket.inode();
    announce.upstream = matched->upstream;
    REQUIRE(client.send(announce));
    const auto announced = client.receive_as<shm::AnnounceStreamReply>();
    REQUIRE(announced);
    shm::StreamStart start;
    start.ticket = announced->ticket;
    REQUIRE(socket.send(start));
    const auto opened = next_record(socket);
    CHECK_MESSAGE(opened.type == shm::StreamRecordType::opened, opened.body);
    const std::string message("\0\5hello", 7);
    REQUIRE(socket.send(message));
    std::string answer;
    while (answer.size() < message.size()) {
      const auto record = next_record(socket);
      REQUIRE(record.type == shm::StreamRecordType::data);
      answer += record.body;
    }
    CHECK(answer == message);
    socket.end_writing();
    CHECK(next_record(socket).type == shm::StreamRecordType::closed);
  }

  std::string refresh() {
    const auto path = folder_.path() + "/" + config_.groups[0].name + ".json";
    std::filesystem::remove(path);
    REQUIRE(folder_.add(config_.groups[0].name + ".json", config_text(config_), 0644) == path);
    const auto done = run_tlsmux("refresh --control-socket " + config_.engine.control_socket);
    CHECK_MESSAGE(done.exit_code == 0, done.text);
    return done.text;
  }

  int stop() { return engine_->stop() + first_.stop() + second_.stop(); }

 private:
  const TemporaryFolder folder_;
  host::HostProcess first_{{"--mode", "echo"}};
  host::HostProcess second_{{"--mode", "echo"}};
  config::Config config_;
  std::optional<EngineProcess> engine_;
};

}  // namespace

TEST_CASE("wrapper.an upstream is made for a name when a program first asks for it, and others share its session") {
  const Residue residue;
  Scene scene(1);
  CHECK(!status_json(scene.config()).contains(scene.first_upstream()));
  // Both ask before either has an answer.
  ControlClient one(scene.config().engine.control_socket);
  ControlClient other(scene.config().engine.control_socket);
  for (auto* const client : {&one, &other}) REQUIRE(client->send(Scene::question(scene.first())));
  for (auto* const client : {&one, &other}) {
    const auto matched = client->receive_as<shm::MatchPeerReply>();
    REQUIRE(matched);
    CHECK(shm::text_of(matched->upstream) == scene.first_upstream());
  }
  for (int i = 0; i < 3; ++i) scene.ask(scene.first());
  CHECK(scene.first().report().count("handshakes_full") == 1);
  CHECK(scene.first().report().count_of("server_names", kName) == 1);
  scene.engine().log().wait_for("event=upstream_made");
  CHECK(scene.engine().log().count("event=upstream_made") == 1);
  await([&] { return status_json(scene.config()).contains("\"" + scene.first_upstream() + "\""); });

  // There is no room for another, and for odd names there is no need of any.
  CHECK(scene.upstream_for(scene.second()).empty());
  CHECK(scene.upstream_for(scene.second()).empty());
  scene.engine().log().wait_for("event=upstream_not_made");
  CHECK(scene.engine().log().count("event=upstream_not_made") == 1);
  CHECK(scene.upstream_for(scene.first(), "LOCALHOST.") == scene.first_upstream());
  CHECK(scene.upstream_for(scene.first(), "127.0.0.1").empty());

  const auto drained =
      run_tlsmux("drain " + scene.first_upstream() + " --control-socket " + scene.config().engine.control_socket);
  CHECK_MESSAGE(drained.exit_code == 0, drained.text);
  CHECK(scene.stop() == 0);
}

// More sessions and more upstreams than an engine has spare for a refresh.
TEST_CASE("wrapper.there is room from the start for all upstreams that may be made") {
  const Residue residue;
  const TemporaryFolder folder;
  auto config = engine_config(folder, {1});
  config.engine.shards = 2;
  config.upstreams[0].sessions = 0;
  config.upstreams[0].sessions_max = 7;
  config.upstreams[0].streams.kind = config::StreamKind::leased;
  config.ssl_wrapper.rules = {
      {.address = {}, .name = "*.localhost", .port = 443, .upstream = config.upstreams[0].name, .create = true}};
  config.ssl_wrapper.created_max = 40;
  EngineProcess engine(folder, config);
  ControlClient client(config.engine.control_socket);
  shm::MatchPeerRequest match;
  match.peer = engine::wrapper::loopback(AF_INET, 443);
  for (int i = 0; i <= 40; ++i) {
    const auto name = "name" + std::to_string(i) + ".localhost";
    CAPTURE(name);
    shm::set_text(match.server_name, name);
    REQUIRE(client.send(match));
    const auto matched = client.receive_as<shm::MatchPeerReply>();
    REQUIRE(matched);
    CHECK(shm::text_of(matched->upstream) == (i < 40 ? name + ":443" : ""));
  }
  await([&] { return status_json(config).contains("\"name39.localhost:443\""); });
  CHECK(engine.log().count("event=upstream_made") == 40);
  CHECK(engine.stop() == 0);
}

TEST_CASE("wrapper.a refresh keeps the upstreams that were made, while their rule and their model stay") {
  const Residue residue;
  Scene scene(1);
  scene.ask(scene.first());
  CHECK(scene.refresh() == "nothing changes\n");

  scene.config().ssl_wrapper.created_max = 2;
  scene.config().upstreams[0].timeouts.connect_ms = 4000;
  const auto text = scene.refresh();
  CHECK_MESSAGE(text.contains("upstream \"" + scene.first_upstream() + "\": timeouts.connect_ms 5000 -> 4000"), text);
  scene.ask(scene.first());
  CHECK(scene.first().report().count("handshakes_full") == 1);
  scene.ask(scene.second());
  CHECK(scene.second().report().count("handshakes_full") == 1);

  // What is for new sessions reaches those of upstreams that were made.
  scene.config().upstreams[0].tls.alpn = {"x"};
  scene.refresh();
  for (int i = 0; i < 2; ++i) scene.ask(scene.second());  // the first one may still get the session that is to end
  scene.second().await_count("connections", 2);

  // With another model it would need what no upstream can change to; so it is another one.
  auto other = scene.config().upstreams[0];
  other.name = "other";
  other.framing.message_bytes_max = 1000;
  scene.config().upstreams.push_back(other);
  scene.config().ssl_wrapper.rules[1].upstream = other.name;
  CHECK(scene.refresh().contains("upstream \"" + scene.second_upstream() + "\" removed (at once)\n"));
  scene.ask(scene.second());

  scene.config().ssl_wrapper.rules.erase(scene.config().ssl_wrapper.rules.begin());
  CHECK(scene.refresh().contains("upstream \"" + scene.first_upstream() + "\" removed (at once)\n"));
  CHECK(scene.upstream_for(scene.first()).empty());
  scene.ask(scene.second());

  // The next engine begins with none, and makes them again.
  const auto made = scene.engine().log().count("event=upstream_made");
  scene.engine().kill_engine();
  CHECK(!status_json(scene.config()).contains(kName + ":"));
  scene.ask(scene.second());
  CHECK(scene.engine().log().count("event=upstream_made") == made + 1);
  CHECK(scene.stop() == 0);
}

}  // namespace tlsmux::test
