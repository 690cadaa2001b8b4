#pragma once

// The process's own attachments, one for each service, for the functions without a client: bind(2) has no handle either,
// and a claim must not pay for attaching each time. This is the library's only global state.
//
// They are made on first use and never closed: the kernel does that when the process ends. A forked child has none: it
// leaves what it inherited alone, which another thread of the parent may have been changing at that moment, and makes
// its own. What it leaves is a few hundred bytes and descriptors that are closed on exec.

#include <tlsmux/tlsmux.h>

#include <expected>
#include <string>

namespace tlsmux::client {

// What to use where no service is named: the environment's TLSMUX_SERVICE, else its TLSMUX_GROUP. Empty: none is set. Not
// for programs with raised privileges.
std::string service_or_environment(const char* service);

// Attaches on first use, with room for one channel. Threads that want the same service wait for the one that attaches.
// The client is never freed. Errors, as positive errnos: those of tmx_attach.
std::expected<tmx_client*, int> client_of_process(const std::string& service);
// Null: this process has not attached to it.
tmx_client* present_client_of_process(const std::string& service);

}  // namespace tlsmux::client
