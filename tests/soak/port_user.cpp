// A resident that takes ports of its group and gives them back: bound and as numbers only, returned in good order or left to
// the engine to find.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shm/system/unique_fd.hpp"
#include "tests/soak/resident.hpp"
#include "tests/system/port_status.hpp"
#include "tlsmux/ports.h"

namespace tlsmux::soak {
namespace {

constexpr std::size_t kHeldMax = 6;

class PortUser final : public Resident {
 public:
  PortUser(const ResidentOrder& order, Board& board)
      : board_(board), attachment_(order), random_(order.seed), group_(order.group) {}

  void work() override;
  void rest() override;

 private:
  void bind_one();
  void claim_one();
  void give_back_one();
  struct Bound {
    shm::UniqueFd socket;
    std::uint16_t port = 0;
  };
  void give_back(Bound& bound);

  Board& board_;
  Attachment attachment_;
  std::mt19937_64 random_;
  std::string group_;
  std::vector<Bound> sockets_;
};

bool may_fail_so(int error) { return is_passing(error) || error == -EADDRINUSE; }

void PortUser::work() {
  if (sockets_.size() == kHeldMax) return give_back_one();
  switch (random_() % 3) {
    case 0: return bind_one();
    case 1: return claim_one();
    default:
      if (!sockets_.empty()) give_back_one();
  }
}

void PortUser::bind_one() {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int error =
      tmx_client_bind(attachment_.client(), socket.get(), reinterpret_cast<sockaddr*>(&local), sizeof local, "dynamic");
  if (error != 0 && !may_fail_so(error)) object("no port", error);
  if (error != 0) return wait_a_moment();
  board_.count(Deed::ports_taken);
  sockets_.push_back({.socket = std::move(socket), .port = ntohs(local.sin_port)});
}

void PortUser::claim_one() {
  std::uint16_t port = 0;
  const int error = tmx_client_claim_port(attachment_.client(), "udp", "dynamic", &port);
  if (error != 0 && !may_fail_so(error)) object("no number of a port", error);
  if (error != 0) return wait_a_moment();
  board_.count(Deed::ports_taken);
  const int given_back = tmx_client_release_port(attachment_.client(), "udp", port, 0);
  if (given_back != 0 && !is_passing(given_back)) object("a port cannot be given back", given_back);
}

// Where the engine has seen the socket, half of the time nothing is said. What it has not seen it takes for a number that is
// still wanted.
void PortUser::give_back(Bound& bound) {
  const ports::Port port{.protocol = ports::Protocol::tcp, .number = bound.port};
  const bool is_known = test::port_state(group_, port) == shm::PortState::bound;
  if (!is_known || random_() % 2 == 0) {
    const int error = tmx_client_release(attachment_.client(), bound.socket.get());
    if (error != 0 && !is_passing(error)) object("a bound port cannot be given back", error);
  }
  bound.socket.reset();
}

void PortUser::give_back_one() {
  const auto at = sockets_.begin() + static_cast<std::ptrdiff_t>(random_() % sockets_.size());
  give_back(*at);
  sockets_.erase(at);
}

void PortUser::rest() {
  for (auto& bound : sockets_) give_back(bound);
  sockets_.clear();
}

}  // namespace

std::unique_ptr<Resident> make_port_user(const ResidentOrder& order, Board& board) {
  return std::make_unique<PortUser>(order, board);
}

}  // namespace tlsmux::soak
