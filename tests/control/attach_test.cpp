// Attaching, step by step, and what a client can do to its memory once it is served.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include "shm/geometry.hpp"
#include "shm/system/pidfd.hpp"
#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

int punch(int fd) { return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }

void* map_writable(int fd, std::size_t bytes) {
  return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

}  // namespace

TEST_CASE("segment.attached client has its memory and no other way into it") {
  ServerProcess server;
  ControlClient client(server.path());
  const auto attached = client.attach(server.group());
  REQUIRE(attached);
  const int memory = attached->offer.memory.get();
  const auto bytes = attached->offer.reply.client_bytes;

  const auto own = attached->segment.client();
  REQUIRE(own.size() == bytes);
  own[bytes - 2] = std::byte{7};
  CHECK(map_writable(memory, bytes) == MAP_FAILED);
  CHECK(errno == EPERM);
  CHECK(::ftruncate(memory, 0) == -1);
  CHECK(errno == EPERM);
  CHECK(::ftruncate(memory, static_cast<off_t>(2 * bytes)) == -1);
  CHECK(punch(memory) == -1);
  CHECK(errno == EPERM);
  CHECK(::madvise(own.data(), own.size(), MADV_REMOVE) == -1);
  const char byte = 1;
  CHECK(::pwrite(memory, &byte, 1, 0) == -1);
  CHECK(::fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == -1);
  CHECK(own[bytes - 2] == std::byte{7});
}

TEST_CASE("segment.attached client reads the group's part and cannot write it") {
  ServerProcess server;
  ControlClient client(server.path());
  const auto attached = client.attach(server.group());
  REQUIRE(attached);
  const int group = attached->offer.group.get();
  CHECK(attached->segment.group().size() == test::kGroupBytes);
  CHECK(attached->segment.group().data() + test::kGroupBytes == attached->segment.client().data());
  CHECK(map_writable(group, test::kGroupBytes) == MAP_FAILED);
  CHECK(errno == EACCES);
  CHECK(::ftruncate(group, 0) == -1);
  CHECK(punch(group) == -1);
}

TEST_CASE("segment.attached client finds its header and the engine's identity") {
  ServerProcess server;
  ControlClient client(server.path());
  const auto attached = client.attach(server.group());
  REQUIRE(attached);
  const auto& reply = attached->offer.reply;
  const auto& header = *reinterpret_cast<const shm::ClientHeader*>(attached->segment.client().data());
  CHECK(header.version.load() == shm::kLayoutVersion);
  CHECK(header.magic == shm::kClientMagic);
  CHECK(header.client_id == reply.client_id);
  CHECK(header.boot_id == reply.boot_id);
  CHECK(header.total_bytes == reply.client_bytes);
  CHECK(header.channel_count == 4);
  CHECK(header.slots_per_channel == 8);
  CHECK(header.slot_bytes == 256);
  const shm::ClientGeometry geometry{.channels = 4, .slots_per_channel = 8, .slot_bytes = 256};
  CHECK(header.total_bytes == geometry.total_bytes());
  CHECK(header.channels_offset == geometry.channels_offset());
  CHECK(header.channel_stride == geometry.channel_stride());
  CHECK(reply.engine_pid == static_cast<std::uint32_t>(server.pid()));
  CHECK(shm::send_signal(attached->offer.engine.get(), 0));
  const std::uint64_t one = 1;
  CHECK(::write(attached->offer.doorbell.get(), &one, sizeof one) == sizeof one);
}

TEST_CASE("segment.hole punched before the sealing is filled again") {
  ServerProcess server;
  ControlClient client(server.path());
  const auto offer = client.begin_attach(server.group());
  REQUIRE(offer);
  auto segment = test::map_segment(*offer);
  REQUIRE(segment);
  REQUIRE(::fallocate(offer->memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                      static_cast<off_t>(offer->reply.client_bytes)) == 0);
  REQUIRE(client.send(shm::MappedNotice{}));
  REQUIRE(client.catch_up());
  struct stat status{};
  REQUIRE(::fstat(offer->memory.get(), &status) == 0);
  CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 >= offer->reply.client_bytes);
  // It has harmed itself only.
  ControlClient next(server.path());
  CHECK(next.attach(server.group()));
}

TEST_CASE("engine.attach gives as many channels as asked for and permitted") {
  ServerProcess server;
  ControlClient modest(server.path());
  REQUIRE(modest.send_attach(server.group(), 1));
  const auto offer = modest.receive_attachment();
  REQUIRE(offer);
  CHECK(offer->reply.channels == 1);
  ControlClient greedy(server.path());
  REQUIRE(greedy.send_attach(server.group(), 5));
  std::string text;
  CHECK(greedy.receive_error(text) == EINVAL);
  CHECK(text.find("channels_per_client") != std::string::npos);
  // A refused one may ask again.
  CHECK(greedy.attach(server.group()));
}

TEST_CASE("engine.attach to a group that is not there is ENOENT") {
  ServerProcess server;
  CHECK(ControlClient(server.path()).attach_error("NONE") == ENOENT);
  CHECK(ControlClient(server.path()).attach_error("") == ENOENT);
  shm::AttachRequest unterminated;
  unterminated.group.fill('x');
  ControlClient client(server.path());
  REQUIRE(client.send(unterminated));
  CHECK(client.receive_error() == ENOENT);
}

TEST_CASE("engine.attach beyond the group's clients is EAGAIN until one has left") {
  ServerProcess server(
      {.memory = {.clients_max = 2, .channels_per_client = 1, .slots_per_channel = 2, .slot_bytes = 64}});
  ControlClient one(server.path());
  ControlClient two(server.path());
  REQUIRE(one.attach(server.group()));
  REQUIRE(two.begin_attach(server.group()));  // counts before it has mapped
  CHECK(ControlClient(server.path()).attach_error(server.group()) == EAGAIN);
  one.close();
  server.log().wait_for("event=client_released");
  CHECK(ControlClient(server.path()).attach_error(server.group()) == 0);
}

TEST_CASE("engine.attach with another layout or protocol is refused with both versions in words") {
  ServerProcess server;
  ControlClient newer(server.path());
  shm::AttachRequest request;
  shm::set_text(request.group, server.group());
  request.layout_version = (shm::kLayoutMajor + 1) << 16;
  REQUIRE(newer.send(request));
  std::string text;
  CHECK(newer.receive_error(text) == EPROTO);
  CHECK(text.find("2.0") != std::string::npos);
  CHECK(text.find("1.0") != std::string::npos);
  request.layout_version = shm::kLayoutVersion + 1;  // a newer minor one is no obstacle
  REQUIRE(newer.send(request));
  CHECK(newer.receive_attachment());

  ControlClient other(server.path());
  shm::AttachRequest alien;
  alien.header = {.version = shm::kControlVersion + 1, .type = shm::ControlType::attach, .bytes = sizeof alien};
  REQUIRE(other.send_raw(std::as_bytes(std::span(&alien, 1))));
  CHECK(other.receive_error(text) == EPROTO);
  CHECK(text.find("protocol " + std::to_string(shm::kControlVersion + 1)) != std::string::npos);
}

TEST_CASE("engine.attach that stops half-way is ended") {
  ServerProcess server;
  ControlClient silent(server.path());
  ControlClient stuck(server.path());
  REQUIRE(stuck.begin_attach(server.group()));
  CHECK(silent.receive_error() == ETIMEDOUT);
  CHECK(silent.receive()->bytes.empty());
  CHECK(stuck.receive_error() == ETIMEDOUT);
  CHECK(stuck.receive()->bytes.empty());
}

TEST_CASE("engine.drain takes no more clients and ends") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  SUBCASE("at SIGTERM") { server.send_signal(SIGTERM); }
  SUBCASE("when the broker is dead") {
    server.close_broker_socket();
    const auto lost = server.log().wait_for("event=broker_lost");
    CHECK_MESSAGE(lost.contains(" level=error "), lost);
    CHECK_MESSAGE(lost.contains("needs=\"tlsmuxd to be started again"), lost);
    CHECK(server.log().wait_for("event=draining").find("broker") != std::string::npos);
  }
  CHECK(server.wait() == 0);
  CHECK(client.receive()->bytes.empty());
}
