#include "tests/soak/interrupt.hpp"

#include <csignal>
#include <initializer_list>

namespace tlsmux::soak {
namespace {

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

void watch_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

bool is_interrupted() { return interrupted != 0; }

}  // namespace tlsmux::soak
