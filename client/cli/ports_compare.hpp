#pragma once

#include "client/cli/ports_kernel.hpp"
#include "client/cli/ports_report.hpp"

namespace tlsmux::client::cli {

// Puts beside each port of the report what the kernel says, adds ports that only the kernel knows, and notes where the
// two differ.
void compare(PortsReport& report, const KernelFacts& facts);

// The names of users and Unix groups, by the machine's account database, which may take its time.
void name_accounts(PortsReport& report);

}  // namespace tlsmux::client::cli
