#pragma once

// What is wrong with the mode or the owner of a file that holds a secret, and what to type: said alike where the configuration is
// checked and where a broker opens the file.

#include <sys/types.h>

#include <string>

namespace tlsmux::config {

// "0644"
std::string octal(mode_t mode);

// Of a file that others may, as in "read the passphrase".
std::string open_to_others(const std::string& path, mode_t mode, const std::string& what_others_may);

// Of a file of `owner`, who is neither root nor the engine's user.
std::string owned_by_stranger(const std::string& path, uid_t owner);

}  // namespace tlsmux::config
