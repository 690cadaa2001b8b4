// Packets that no honest client sends. Whatever they are, the one who sent them goes, and nobody else notices.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

template <typename Message>
std::vector<std::byte> bytes_of(Message message) {
  message.header.type = Message::kType;
  message.header.bytes = sizeof message;
  std::vector<std::byte> bytes(sizeof message);
  std::memcpy(bytes.data(), &message, sizeof message);
  return bytes;
}

bool works(ControlClient& client) { return client.send_open_channel("nowhere") && client.receive_error() == ENOENT; }

}  // namespace

TEST_CASE("hostile.message that is left unread hides nothing that was said before the end") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const shm::UniqueFd client(ends[0]);
  shm::UniqueFd engine(ends[1]);
  shm::DetachedNotice notice;
  notice.error = EPROTO;
  REQUIRE(shm::send_message(engine.get(), notice));
  REQUIRE(shm::send_message(client.get(), shm::RefillPortsRequest{}));
  engine.reset();
  const auto packet = shm::receive_packet(client.get());
  REQUIRE(packet);
  shm::DetachedNotice told;
  REQUIRE(shm::read_message(*packet, told));
  CHECK(told.error == EPROTO);
  const auto end = shm::receive_packet(client.get());
  REQUIRE(end);
  CHECK(end->bytes.empty());
}

TEST_CASE("hostile.message out of turn ends the connection that sent it") {
  ServerProcess server;
  ControlClient neighbour(server.path());
  REQUIRE(neighbour.attach(server.group()));
  const auto ends = [&](const std::vector<std::byte>& bytes, bool attach_first = false) {
    ControlClient client(server.path());
    if (attach_first) REQUIRE(client.attach(server.group()));
    REQUIRE(client.send_raw(bytes));
    CHECK(client.receive_error() == EPROTO);
    CHECK(client.receive()->bytes.empty());
  };
  ends(bytes_of(shm::MappedNotice{}));
  ends(bytes_of(shm::OpenChannelRequest{}));
  ends(bytes_of(shm::CloseChannelRequest{}));
  ends(bytes_of(shm::MappedNotice{}), true);
  ends(bytes_of(shm::AttachRequest{}), true);
  for (const bool attached : {false, true}) {
    ends(bytes_of(shm::AttachReply{}), attached);
    ends(bytes_of(shm::OpenChannelReply{}), attached);
    ends(bytes_of(shm::Refusal{}), attached);
    ends(bytes_of(shm::DetachedNotice{}), attached);
    ends(bytes_of(shm::ListGroupsReply{}), attached);
  }
  CHECK(works(neighbour));
}

TEST_CASE("hostile.client that asks for a channel before it has mapped is ended and never served") {
  ServerProcess server;
  ControlClient client(server.path());
  const auto offer = client.begin_attach(server.group());
  REQUIRE(offer);
  REQUIRE(client.send_open_channel("acquirer"));
  CHECK(client.receive_error() == EPROTO);
  CHECK(client.receive()->bytes.empty());
  CHECK(server.log().wait_for("event=client_refused").find("before it is attached") != std::string::npos);
  server.log().wait_for("event=connection_closed");
  const auto segment = test::map_segment(*offer);
  REQUIRE(segment);
  CHECK(segment->client().back() == std::byte{0});  // no shard has written there
}

TEST_CASE("hostile.message of a wrong length ends the connection that sent it") {
  ServerProcess server;
  const auto whole = bytes_of(shm::AttachRequest{});
  for (const std::size_t size :
       {std::size_t{1}, sizeof(shm::ControlHeader) - 1, sizeof(shm::ControlHeader), whole.size() - 1, whole.size() + 1,
        shm::kControlMessageBytesMax, shm::kControlMessageBytesMax + 1, 4 * shm::kControlMessageBytesMax}) {
    for (const bool honest : {false, true}) {
      auto bytes = whole;
      bytes.resize(size);
      const auto stated = static_cast<std::uint32_t>(size);
      if (honest && size >= sizeof(shm::ControlHeader)) {
        std::memcpy(bytes.data() + offsetof(shm::ControlHeader, bytes), &stated, sizeof stated);
      }
      ControlClient client(server.path());
      REQUIRE(client.send_raw(bytes));
      CHECK(client.receive_error() == EPROTO);
      CHECK(client.receive()->bytes.empty());
    }
  }
}

TEST_CASE("hostile.message with descriptors is refused and they are closed") {
  bool takes_descriptors = false;
  SUBCASE("by the kernel, from Linux 6.16") {}
  SUBCASE("by the server") { takes_descriptors = true; }
  ServerProcess server({.takes_descriptors = takes_descriptors});
  const auto before = test::descriptor_count(server.pid());
  for (const std::size_t count : {std::size_t{1}, std::size_t{4}}) {
    ControlClient client(server.path());
    const std::vector<int> descriptors(count, client.socket());
    const auto sent = shm::send_message(client.socket(), shm::ListGroupsRequest{}, descriptors);
    if (sent) {
      CHECK(client.receive_error() == EPROTO);
      CHECK(client.receive()->bytes.empty());
    } else {
      CHECK(sent.error().code == EPERM);  // the kernel keeps them out
      CHECK(client.catch_up());
      client.close();
    }
    server.log().wait_for("event=connection_closed");
  }
  CHECK(test::descriptor_count(server.pid()) == before);
}

// The last close of a socket that lingers lasts as long as its owner has said, and so would any client's wait for the engine.
TEST_CASE("hostile.message with a descriptor whose closing takes its time does not reach the server") {
  if (test::skip_without_descriptor_refusal()) return;
  ServerProcess server;
  ControlClient client(server.path());
  const std::array descriptors{client.socket()};
  const auto sent = shm::send_message(client.socket(), shm::ListGroupsRequest{}, descriptors);
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == EPERM);
  CHECK(client.catch_up());
}

TEST_CASE("hostile.messages at random leave the server and the neighbour unharmed") {
  ServerProcess server;
  const auto before = test::descriptor_count(server.pid());
  ControlClient neighbour(server.path());
  REQUIRE(neighbour.attach(server.group()));
  std::mt19937_64 random(test::seed());
  for (int round = 0; round < 500; ++round) {
    ControlClient client(server.path());
    if (random() % 4 == 0) REQUIRE(client.begin_attach(server.group()));
    for (int i = 0; i < 4; ++i) {
      std::vector<std::byte> bytes(1 + random() % 300);
      for (auto& byte : bytes) byte = static_cast<std::byte>(random());
      shm::ControlHeader header;
      header.type = static_cast<shm::ControlType>(random() % 16);
      header.bytes = static_cast<std::uint32_t>(bytes.size());
      if (random() % 4 != 0) std::memcpy(bytes.data(), &header, std::min(bytes.size(), sizeof header));
      if (!client.send_raw(bytes)) break;
    }
  }
  CHECK(works(neighbour));
  neighbour.close();
  for (int i = 0; i < 501; ++i) server.log().wait_for("event=connection_closed");
  CHECK(test::descriptor_count(server.pid()) == before);
  CHECK(server.stop() == 0);
}

TEST_CASE("hostile.client that does not read its answers is ended") {
  ServerProcess server;
  const auto floods_until_ended = [&](const std::function<bool(ControlClient&)>& prepare) {
    ControlClient client(server.path());
    REQUIRE(prepare(client));
    // Its own sending blocks or fails once the engine has given up on it.
    while (client.send(shm::ListGroupsRequest{})) continue;
  };
  floods_until_ended([](const ControlClient& client) { return client.connected(); });
  floods_until_ended([&](ControlClient& client) { return client.attach(server.group()).has_value(); });
  ControlClient next(server.path());
  CHECK(next.attach(server.group()));
}
