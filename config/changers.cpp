#include "config/changers.hpp"

#include <unistd.h>

#include "config/private_file_words.hpp"

namespace tlsmux::config {

std::optional<std::string> problem_of_changers(const std::string& path, const struct stat& status,
                                               const std::string& what_they_may) {
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    // A folder as /tmp is for all, and must stay so.
    const bool is_for_all = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
    return "has mode " + octal(status.st_mode) + ", so that others may " + what_they_may +
           (is_for_all ? "; give a folder of its own" : "; type: chmod go-w " + path);
  }
  if (status.st_uid == 0 || status.st_uid == ::geteuid()) return std::nullopt;
  return "belongs to uid " + std::to_string(status.st_uid) +
         ", which is neither root nor who starts tlsmuxd, and may " + what_they_may + "; type: chown root " + path;
}

}  // namespace tlsmux::config
