// What is not to be found any more in the memory of processes: messages that have been answered, private keys as they
// stood in their files, what dead processes had.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "shm/system/pidfd.hpp"
#include "tests/confinement/sanitizer.hpp"
#include "tests/faults/raw_channel.hpp"
#include "tests/host/host_process.hpp"
#include "tests/memory/process_memory.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr char kMark = '\xa5';
constexpr const char* kClientMemory = "memfd:tlsmux-client";

// Made while the test runs, so that it stands in no program.
std::string secret_message(std::size_t bytes) {
  std::string message = "the account number that is ";
  for (std::size_t i = 0; message.size() < bytes; ++i) message += static_cast<char>('!' + (i * 7 + bytes) % 90);
  return message;
}

struct Scene {
  explicit Scene(bool wipe_slots, const std::vector<std::string>& host_options = {"--mode", "echo"})
      : host(host_options), config(engine_config(folder, {host.port()})) {
    config.groups[0].memory.wipe_slots = wipe_slots;
  }

  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host;
  config::Config config;
};

std::size_t in_slots(const std::string& message) { return count_in_memory(::getpid(), message, kClientMemory); }

}  // namespace

TEST_CASE("engine.a message that was answered is not in its memory any more") {
  if (skip_with_sanitizer() || skip_without_root("it looks into other processes")) return;
  // The answer comes in one record, or byte by byte, and is put together in the engine.
  const std::vector<std::string> whole{"--mode", "echo"};
  const std::vector<std::string> in_bytes{"--mode", "echo", "--byte-records"};
  for (const auto& host_options : {whole, in_bytes}) {
    for (const bool wipe_slots : {true, false}) {
      INFO("wipe_slots ", wipe_slots, " ", host_options.back());
      Scene scene(wipe_slots, host_options);
      EngineProcess engine(scene.folder, scene.config);
      Requester requester(scene.config);
      const auto message = secret_message(300);
      CHECK(requester.ask(message).answer == message);
      const auto part = message.substr(40, 80);
      const auto anywhere = count_in_memory(engine.engine_pid(), part);
      const auto in_client_memory = count_in_memory(engine.engine_pid(), part, kClientMemory);
      CHECK(anywhere == in_client_memory);
      CHECK((in_client_memory == 0) == wipe_slots);  // without, it is found
      CHECK(count_in_memory(engine.broker_pid(), part) == 0);
      CHECK(engine.stop() == 0);
    }
  }
}

// The daemon's operator delete, which this program has, too.
TEST_CASE("engine.what is given back to the heap is wiped, whatever its alignment") {
  if (skip_with_sanitizer() || skip_without_root("it looks into another process")) return;
  constexpr std::size_t kBytes = 4096;
  struct Usual {
    std::array<char, kBytes> text;
  };
  struct alignas(256) Aligned {
    std::array<char, kBytes> text;
  };
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const shm::UniqueFd reading(pipe[0]);
  const shm::UniqueFd writing(pipe[1]);
  using Addresses = std::array<std::uintptr_t, 2>;
  const ChildProcess child([&] {
    auto usual = std::make_unique<Usual>();
    auto aligned = std::make_unique<Aligned>();
    usual->text.fill(kMark);
    aligned->text.fill(kMark);
    const Addresses addresses{reinterpret_cast<std::uintptr_t>(usual->text.data()),
                              reinterpret_cast<std::uintptr_t>(aligned->text.data())};
    if (addresses[1] % alignof(Aligned) != 0) return 1;
    usual.reset();
    aligned.reset();
    if (::write(writing.get(), &addresses, sizeof addresses) != sizeof addresses) return 1;
    ::pause();
    return 2;
  });
  Addresses addresses{};
  REQUIRE(::read(reading.get(), &addresses, sizeof addresses) == sizeof addresses);
  const auto path = "/proc/" + std::to_string(child.pid()) + "/mem";
  const shm::UniqueFd memory(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  for (const auto address : addresses) {
    std::string text(kBytes, '\0');
    REQUIRE(::pread(memory.get(), text.data(), kBytes, static_cast<off_t>(address)) == static_cast<ssize_t>(kBytes));
    CHECK(std::ranges::count(text, kMark) < 16);  // what the heap keeps there may look like anything
  }
}

TEST_CASE("engine.the text of a private key is not in its memory once the key is in use") {
  if (skip_with_sanitizer() || skip_without_root("it looks into other processes")) return;
  Scene scene(false);
  const auto text = host::read_file(host::certificate_file("client.key"));
  scene.config.upstreams[0].tls.certificate_file = host::certificate_file("client.pem");
  scene.config.upstreams[0].tls.key_file = scene.folder.add("client.key", text);
  EngineProcess engine(scene.folder, scene.config);
  Requester requester(scene.config);
  CHECK(requester.ask("hello").outcome == TMX_ANSWERED);
  const auto body = text.find('\n') + 1;
  const auto line = text.substr(body + 16, 40);
  REQUIRE(line.size() == 40);
  for (const auto pid : {engine.engine_pid(), engine.broker_pid()}) CHECK(count_in_memory(pid, line) == 0);
  CHECK(count_in_memory(engine.engine_pid(), scene.config.upstreams[0].name) > 0);  // what is there is found
  CHECK(engine.stop() == 0);
}

TEST_CASE("client.slots are wiped when nobody needs them any more, and not before") {
  Scene scene(true);
  EngineProcess engine(scene.folder, scene.config);
  Requester requester(scene.config);
  const auto message = secret_message(300);
  REQUIRE(requester.submit(message) == 0);
  tmx_completion completion{};
  REQUIRE(tmx_poll(requester.channel(), &completion, 1, 20'000) == 1);
  CHECK(completion.outcome == TMX_ANSWERED);
  CHECK(in_slots(message) == 1);  // the answer; the request is gone
  REQUIRE(completion.data != nullptr);
  CHECK(std::string(static_cast<const char*>(completion.data), completion.length) == message);
  CHECK(tmx_release(requester.channel(), &completion) == 0);
  CHECK(in_slots(message) == 0);

  CHECK(requester.ask(message).answer == message);
  CHECK(in_slots(message) == 0);

  tmx_buffer buffer{};
  REQUIRE(tmx_reserve(requester.channel(), &buffer) == 0);
  message.copy(static_cast<char*>(buffer.data), message.size());
  CHECK(in_slots(message) == 1);
  CHECK(tmx_abandon(requester.channel(), &buffer) == 0);
  CHECK(in_slots(message) == 0);
  CHECK(engine.stop() == 0);
}

TEST_CASE("client.slots stay as they are where the group does not ask for wiping") {
  Scene scene(false);
  EngineProcess engine(scene.folder, scene.config);
  Requester requester(scene.config);
  const auto message = secret_message(300);
  CHECK(requester.ask(message).answer == message);
  CHECK(in_slots(message) == 2);
  CHECK(engine.stop() == 0);
}

TEST_CASE("engine.what a dead process had in its slots is wiped") {
  if (skip_without_root("it takes a descriptor out of another process")) return;
  for (const bool wipe_slots : {true, false}) {
    INFO("wipe_slots ", wipe_slots);
    Scene scene(wipe_slots);
    EngineProcess engine(scene.folder, scene.config);
    const auto message = secret_message(300);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
    const shm::UniqueFd reading(pipe[0]);
    const shm::UniqueFd writing(pipe[1]);
    const ChildProcess child([&] {
      auto channel = RawChannel::try_open(scene.config, scene.config.upstreams[0].name);
      if (!channel) return 1;
      message.copy(reinterpret_cast<char*>(channel->slot(3).data()), message.size());
      const int memory = channel->offer().memory.get();
      if (::write(writing.get(), &memory, sizeof memory) != sizeof memory) return 2;
      ::pause();
      return 3;
    });
    int number = -1;
    REQUIRE(::read(reading.get(), &number, sizeof number) == sizeof number);
    const auto pidfd = shm::open_pidfd(child.pid());
    const shm::UniqueFd memory(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), number, 0)));
    REQUIRE(memory);
    child.send_signal(SIGKILL);
    engine.log().wait_for("event=client_released");
    const auto size = ::lseek(memory.get(), 0, SEEK_END);
    std::string text(static_cast<std::size_t>(size), '\0');
    REQUIRE(::pread(memory.get(), text.data(), text.size(), 0) == size);
    CHECK((text.find(message) == std::string::npos) == wipe_slots);
    CHECK(engine.stop() == 0);
  }
}

}  // namespace tlsmux::test
