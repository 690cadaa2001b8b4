#pragma once

// Names in /dev/shm. Every user of the machine may put something at any of them: a file, a link, a directory, a FIFO. Nothing here
// opens what it finds, follows a link or leaves that folder; and the folder is sticky, so that only root, or its owner, can take away
// what is there.

#include <sys/stat.h>

#include <expected>
#include <string>
#include <string_view>

#include "shm/system/system_error.hpp"

namespace tlsmux::shm {

// "/dev/shm/NAME".
std::string path_of_shared(std::string_view name);

// "tlsmux-aside." and what nobody can have foreseen: no name of a group's.
std::string unforeseen_name();

// For messages: "a directory of uid 1000".
std::string kind_and_owner(const struct stat& status);

// Swaps what two names stand for, in one step. False, with errno set: one of them stands for nothing (ENOENT), or is another user's and
// this process is not root (EPERM, EACCES).
bool swap_shared_names(const std::string& one, const std::string& other);

// Whatever it is. A directory that is not empty stays: it is its owner's to clear.
void remove_shared_name(const std::string& name);

// Gives the file at `from` the name `to`, whatever is there, so that nobody can put something there in between. A directory that is not
// empty is left at an unforeseen name. An error, which names the owner and says what to type, if what is there is another user's and this
// process is not root, or is a directory of this user's own.
std::expected<void, SystemError> move_to_shared_name(const std::string& from, const std::string& to);

}  // namespace tlsmux::shm
