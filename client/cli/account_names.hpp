#pragma once

// What the machine calls its accounts; empty where it knows none of that number.

#include <cstdint>
#include <string>

namespace tlsmux::client::cli {

std::string user_name(std::uint32_t uid);
std::string unix_group_name(std::uint32_t gid);

}  // namespace tlsmux::client::cli
