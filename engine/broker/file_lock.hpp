#pragma once

// A lock on a file that says by its content who holds it. It belongs to the open file and not to the process (F_OFD_SETLK): whoever
// inherits the descriptor holds it too.

#include <string>

namespace tlsmux::engine::broker {

// The one before us may remove its own file just when we have opened it. Whoever makes a lock tries again so often.
inline constexpr int kLockAttemptsMax = 16;

enum class LockResult : unsigned char { locked, held, failed };

// The whole file, without waiting. `held`: by somebody else; `failed`: errno says why.
LockResult lock_file(int fd);
void unlock_file(int fd);

// Whether `path` still leads to the file that is open; it may lead to another by now. Follows no link.
bool is_still_named(const std::string& path, int fd);

// " (pid 123)" as the content begins; empty if it tells none. For a message only.
std::string holder_in_words(int fd);

}  // namespace tlsmux::engine::broker
