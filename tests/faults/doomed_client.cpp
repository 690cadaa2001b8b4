#include "tests/faults/doomed_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/system/requester.hpp"

namespace tlsmux::test {
namespace {

[[noreturn]] void say_and_wait(int writing) {
  if (::write(writing, "x", 1) != 1) ::_exit(1);
  while (true) ::poll(nullptr, 0, -1);
}

// By hand, as far as it goes before a client is attached.
bool go_by_hand(const config::Config& config, Point point, int writing) {
  const auto& group = config.groups[0].name;
  ControlClient control(config.engine.control_socket);
  if (!control.connected()) return false;
  if (point == Point::connected) say_and_wait(writing);
  if (!control.send_attach(group)) return false;
  if (point == Point::asked) say_and_wait(writing);
  const auto offer = control.receive_attachment();
  if (!offer) return false;
  if (point == Point::offered) say_and_wait(writing);
  const auto segment = map_segment(*offer);
  if (!segment) return false;
  if (point == Point::mapped) say_and_wait(writing);
  if (!control.send(shm::MappedNotice{})) return false;
  if (point == Point::acknowledged) say_and_wait(writing);
  if (!control.send_open_channel("acquirer")) return false;
  say_and_wait(writing);
}

bool submit(tmx_channel* channel, bool reserve_only) {
  tmx_buffer buffer{};
  if (tmx_reserve(channel, &buffer) != 0) return false;
  const auto message = keyed_message(static_cast<std::uint64_t>(::getpid()));
  std::memcpy(buffer.data, message.data(), message.size());
  return reserve_only || tmx_submit(channel, &buffer, static_cast<std::uint32_t>(message.size()), 1, 0) == 0;
}

bool go_by_library(const config::Config& config, Point point, int writing) {
  const auto options = attach_options(config);
  tmx_client* client = nullptr;
  if (tmx_attach(&options, &client) != 0) return false;
  if (point == Point::attached) say_and_wait(writing);
  const char* upstream = "acquirer";
  if (point == Point::queued) upstream = "hole";
  if (point == Point::in_flight) upstream = "sink";
  tmx_channel* channel = nullptr;
  if (tmx_channel_open(client, upstream, &channel) != 0) return false;
  if (point == Point::channel_open) say_and_wait(writing);
  if (!submit(channel, point == Point::reserved)) return false;
  tmx_completion completion{};
  if (point == Point::answered && tmx_poll(channel, &completion, 1, 20'000) != 1) return false;
  say_and_wait(writing);
}

int run(const config::Config& config, Point point, int writing) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const bool by_hand = point < Point::attached || point == Point::channel_asked;
  const bool done = by_hand ? go_by_hand(config, point, writing) : go_by_library(config, point, writing);
  return done ? 0 : 1;
}

}  // namespace

DoomedClient::DoomedClient(const config::Config& config, Point point) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  reading_.reset(ends[0]);
  shm::UniqueFd writing(ends[1]);
  process_ = std::make_unique<ChildProcess>([&] { return run(config, point, writing.get()); });
  writing.reset();  // so that its death is seen
  char word = 0;
  REQUIRE_MESSAGE(::read(reading_.get(), &word, 1) == 1, "a client did not get as far as point ",
                  static_cast<int>(point));
}

void DoomedClient::kill() {
  process_->send_signal(SIGKILL);
  CHECK(process_->wait() == 128 + SIGKILL);
}

}  // namespace tlsmux::test
