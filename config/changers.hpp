#pragma once

// Who may change what tlsmuxd goes by: root and who starts it, and nobody else. Judged and said alike where the configuration is
// checked and where a broker opens a file.

#include <sys/stat.h>

#include <optional>
#include <string>

namespace tlsmux::config {

// What whoever changes it may do.
inline constexpr const char* kDecideAll = "decide which files tlsmuxd opens and where it connects";
inline constexpr const char* kDecideTrust = "decide which hosts are trusted";
inline constexpr const char* kDecideRevocation = "decide which certificates count as revoked";
inline constexpr const char* kDecideFields = "decide how messages are read";
inline constexpr const char* kDecideState = "take away or forge what must survive restarts";
inline constexpr const char* kReplaceSocket = "put a socket of their own where applications attach";

// What follows the path, if others may change the file or folder that `status` is of, and so `what_they_may`; nothing, if nobody else
// may than root and the user that calls this.
std::optional<std::string> problem_of_changers(const std::string& path, const struct stat& status,
                                               const std::string& what_they_may);

}  // namespace tlsmux::config
