#pragma once

namespace tlsmux::soak {

// From now on SIGINT and SIGTERM only make this true. The soak ends after the present phase.
void watch_interrupts();
bool is_interrupted();

}  // namespace tlsmux::soak
