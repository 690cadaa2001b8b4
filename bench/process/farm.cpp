#include "bench/process/farm.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "bench/client/client_main.hpp"
#include "bench/process/interrupt.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kPatienceMs = 60'000;  // only ever used up by a failure

}  // namespace

Farm::Farm(const Ground& ground, std::uint32_t clients, std::uint64_t samples_per_client, const Task& task)
    : ground_(ground), count_(clients), board_(Board::create(clients, samples_per_client)) {
  board_.task() = task;
}

Farm::Client Farm::start_client(const ClientCommand& command, std::uint32_t number, bool once) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error(shm::last_error("making a socket").message);
  }
  shm::UniqueFd ours(ends[0]);
  const shm::UniqueFd theirs(ends[1]);
  ChildProcess process({.command = {std::filesystem::path(ground_.program_folder) / command.program,
                                    std::to_string(number), command.target, ground_.ca_file, command.session_file,
                                    std::to_string(command.spin_us), once ? "once" : "stay"},
                        .environment = command.environment,
                        .log_file = "",
                        .descriptors = {{theirs.get(), kControlDescriptor}, {board_.descriptor(), kBoardDescriptor}}});
  return {.process = std::move(process), .control = std::move(ours)};
}

void Farm::await(const Client& client, char wanted, std::uint32_t number) {
  pollfd readable{.fd = client.control.get(), .events = POLLIN, .revents = 0};
  const int ready = ::poll(&readable, 1, kPatienceMs);
  throw_if_interrupted();
  char word = 0;
  if (ready == 1 && ::read(client.control.get(), &word, 1) == 1 && word == wanted) return;
  const std::string said = board_.place(number).error_text.data();
  throw std::runtime_error("client " + std::to_string(number) + " fails" + (said.empty() ? "" : ": " + said));
}

void Farm::start(const System& system) {
  // Not all at once: what is measured is not how a system starts.
  constexpr std::uint32_t kTogether = 16;
  for (std::uint32_t first = 0; first < count_; first += kTogether) {
    const auto end = std::min(count_, first + kTogether);
    for (auto number = first; number < end; ++number) {
      clients_.push_back(start_client(system.client(number), number, false));
    }
    for (auto number = first; number < end; ++number) await(clients_[number], kReady, number);
  }
}

void Farm::start_idle() {
  for (std::uint32_t number = 0; number < count_; ++number) {
    clients_.push_back(start_client(
        {.program = "tlsmux-bench-idle", .target = "", .session_file = "", .environment = {}}, number, false));
    await(clients_.back(), kReady, number);
  }
}

FarmSlice Farm::run_slice(const Task& task, std::uint32_t active) {
  board_.task() = task;
  for (std::uint32_t i = 0; i < active; ++i) {
    if (::send(clients_[i].control.get(), &kRunSlice, 1, MSG_NOSIGNAL) != 1) {
      throw std::runtime_error("client " + std::to_string(i) + " is gone");
    }
  }
  FarmSlice slice;
  for (std::uint32_t i = 0; i < active; ++i) await(clients_[i], kSliceDone, i);
  for (std::uint32_t i = 0; i < active; ++i) {
    const auto& place = board_.place(i);
    slice.answered += place.answered;
    slice.in_window += place.in_window;
    slice.bytes_in_window += place.bytes_in_window;
    slice.errors += place.errors;
    if (place.errors > 0 && slice.error_text.empty()) slice.error_text = place.error_text.data();
    const auto samples = board_.samples(i).first(place.sample_count);
    slice.latencies_ns.insert(slice.latencies_ns.end(), samples.begin(), samples.end());
  }
  return slice;
}

Farm::Once Farm::run_once(const System& system) {
  auto client = start_client(system.client(0), 0, true);
  const auto end = client.process.wait(kPatienceMs);
  throw_if_interrupted();
  const auto& place = board_.place(0);
  Once once{.latency_ns = board_.samples(0)[0], .cpu_ns = end ? end->cpu_ns : 0, .error_text = place.error_text.data()};
  if (once.error_text.empty() && (!end || end->exit_code != 0)) once.error_text = "the client did not end well";
  return once;
}

std::vector<pid_t> Farm::pids() const {
  std::vector<pid_t> pids;
  for (const auto& client : clients_) pids.push_back(client.process.pid());
  return pids;
}

}  // namespace tlsmux::bench
