#include "tests/soak/resident.hpp"

#include <poll.h>
#include <sys/prctl.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "tests/system/eventually.hpp"
#include "tests/system/leaks.hpp"

namespace tlsmux::soak {
namespace {

std::unique_ptr<Resident> make_resident(const ResidentOrder& order, Board& board) {
  switch (order.trade) {
    case Trade::caller: return make_caller(order, board);
    case Trade::iso8583_caller: return make_iso8583_caller(order, board);
    case Trade::streamer:
    case Trade::lessee: return make_streamer(order, board);
    case Trade::port_user: break;
  }
  return make_port_user(order, board);
}

void live(const ResidentOrder& order, Board& board) {
  const auto resident = make_resident(order, board);
  while (true) {
    if (!board.is_time_to_rest()) {
      resident->work();
      continue;
    }
    resident->rest();
    if (!board.rest(order.number)) return;
  }
}

int run(const ResidentOrder& order, Board& board) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    live(order, board);
  } catch (const std::exception& error) {
    board.set_trouble(order.number, error.what());
    return 1;
  }
  return test::has_leaks() ? 96 : 0;
}

}  // namespace

ResidentProcess::ResidentProcess(const ResidentOrder& order, Board& board)
    : order_(order), process_(std::make_unique<test::ChildProcess>([&] { return run(order_, board); })) {}

Attachment::Attachment(const ResidentOrder& order) {
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = order.group.c_str();
  options.control_socket = order.control_socket.c_str();
  int error = 0;
  test::eventually([&] {
    error = tmx_attach(&options, &client_);
    return !is_passing(error);
  });
  if (error != 0) object("it cannot attach", error);
}

Attachment::~Attachment() {
  for (auto* const channel : channels_) tmx_channel_close(channel);
  tmx_detach(client_);
}

tmx_channel* Attachment::open_channel(const std::string& upstream) {
  tmx_channel* channel = nullptr;
  int error = 0;
  test::eventually([&] {
    error = tmx_channel_open(client_, upstream.c_str(), &channel);
    return !is_passing(error);
  });
  if (error != 0) object("it cannot open a channel", error);
  channels_.push_back(channel);
  return channel;
}

bool is_passing(int error) {
  return error == -ECONNREFUSED || error == -ETIMEDOUT || error == -EAGAIN || error == -ENOTCONN || error == -ESTALE;
}

void wait_a_moment() { ::poll(nullptr, 0, 5); }

void object(const std::string& words, int error) {
  throw std::runtime_error(error == 0 ? words : words + ", error " + std::to_string(error));
}

}  // namespace tlsmux::soak
