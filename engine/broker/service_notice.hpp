#pragma once

#include <string_view>

namespace tlsmux::engine::broker {

// Tells the service manager that started tlsmuxd, if it asked for it, in the protocol of sd_notify(3): one datagram,
// such as "READY=1", to the socket named by NOTIFY_SOCKET. False when there is none or it did not take it; nobody is
// worse off then.
bool notify_service_manager(std::string_view state);

}  // namespace tlsmux::engine::broker
