#pragma once

namespace tlsmux::bench {

// From now on SIGINT and SIGTERM do not end this process; they end waiting.
void catch_interrupts();
// Throws std::runtime_error after one, so that everything that runs is ended in good order.
void throw_if_interrupted();

}  // namespace tlsmux::bench
