#include "tests/demo/own_connection.hpp"

#include <malloc.h>

#include <ctime>
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/demo/purchase.hpp"
#include "tests/host/test_client.hpp"

namespace tlsmux::demo {
namespace {

constexpr std::size_t kConnections = 16;

double thread_cpu_ms() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

void exchange(host::TestClient& client) {
  client.send_frame(build_request({}, {}));
  if (!client.receive_frame()) throw std::runtime_error("the host for comparison does not answer");
}

}  // namespace

OwnConnection measure_own_connection(std::uint16_t port) {
  std::vector<std::unique_ptr<host::TestClient>> clients;
  clients.reserve(kConnections + 1);
  clients.push_back(std::make_unique<host::TestClient>(port));  // what only the first one costs is not counted
  exchange(*clients.back());

  const auto heap_before = ::mallinfo2().uordblks;
  double cpu_ms = 0;
  for (std::size_t i = 0; i < kConnections; ++i) {
    const double before = thread_cpu_ms();
    clients.push_back(std::make_unique<host::TestClient>(port));
    cpu_ms += thread_cpu_ms() - before;
    exchange(*clients.back());
  }
  const auto heap_bytes = static_cast<double>(::mallinfo2().uordblks - heap_before);
  return {.heap_kb = heap_bytes / 1024 / kConnections, .handshake_cpu_ms = cpu_ms / kConnections};
}

}  // namespace tlsmux::demo
