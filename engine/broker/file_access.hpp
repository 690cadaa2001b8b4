#pragma once

// Opens the files that the configuration names, on behalf of an engine that may not. Symbolic links are followed, as
// is usual for certificates, unless the function says otherwise; what they lead to must be a regular file of a sensible
// size.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

inline constexpr std::uint64_t kFileBytesMax = 16ULL << 20;

std::expected<shm::UniqueFd, shm::SystemError> open_for_reading(const std::string& path);

// A file that nobody may change but root and whoever runs this, since others would then be able to do what `what_changers_may`
// says. EACCES otherwise.
std::expected<shm::UniqueFd, shm::SystemError> open_trusted(const std::string& path, const char* what_changers_may);

// A private key or a passphrase: nobody but its owner may have any right to it, and the owner is root or `owner`. EACCES otherwise.
std::expected<shm::UniqueFd, shm::SystemError> open_private(const std::string& path, uid_t owner);

// A file for secrets, for appending: made with mode 0600 if it is missing. One that is there must be a regular file that
// nobody but its owner may use, who is root, `owner` or whoever runs this; a symbolic link is not followed. EACCES or
// ELOOP otherwise.
std::expected<shm::UniqueFd, shm::SystemError> open_secret_log(const std::string& path, uid_t owner);

// The paths of the regular files in a directory, sorted, each file once however many links lead to it. EACCES if others may put
// some there, as open_trusted() has it.
std::expected<std::vector<std::string>, shm::SystemError> trusted_files_in(const std::string& directory,
                                                                           const char* what_changers_may);

}  // namespace tlsmux::engine::broker
