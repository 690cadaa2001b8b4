#include "bench/ports/network.hpp"

#include <sched.h>

#include <exception>
#include <thread>

#include "shm/system/system_error.hpp"

namespace tlsmux::bench {

std::string run_in_own_network(const std::function<void()>& run) {
  std::string obstacle;
  std::exception_ptr failure;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) {
      obstacle = shm::last_error("making a network namespace (root may)").message;
      return;
    }
    try {
      run();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
  return obstacle;
}

}  // namespace tlsmux::bench
