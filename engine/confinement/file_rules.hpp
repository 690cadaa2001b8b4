#pragma once

// What of the machine's files the engine may open by name. Owns Landlock.

#include <expected>
#include <span>
#include <string_view>

#include "shm/system/system_error.hpp"

namespace tlsmux::engine::confinement {

// Folders and files that may be read, with all below them, as far as the user's rights go: what names are looked up
// with, the time zone, and who the members of groups are. Nothing may be written, made or executed, and nothing
// removed but from /dev/shm.
std::span<const std::string_view> readable_paths();

// The kernel's version of the interface; 0 where it has none or it is switched off.
int kernel_landlock_version();

// For the calling thread and those that it starts later, for good: files as above; from version 6 no signals to other
// processes and no abstract sockets of theirs. Descriptors that are open stay so. Needs no_new_privs. The version that
// is in force.
std::expected<int, shm::SystemError> restrict_files();

}  // namespace tlsmux::engine::confinement
