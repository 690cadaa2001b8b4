#include "config/check/check_start.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "config/check/findings.hpp"
#include "config/identity.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

// Root becomes any engine's user; who is not root only stays what it is.
bool may_start(const EngineSettings& engine) {
  if (engine.user.empty() || ::geteuid() == 0) return true;
  const auto uid = resolve_user(engine.user);
  return !uid || *uid == ::geteuid();
}

// What is not there is judged elsewhere.
Problem write_problem(const std::filesystem::path& path, int access) {
  if (::faccessat(AT_FDCWD, path.c_str(), access, AT_EACCESS) == 0 || (errno != EACCES && errno != EROFS)) {
    return std::nullopt;
  }
  return in_quotes(path.native()) + " cannot be written to: " + std::generic_category().message(errno) + " (for uid " +
         std::to_string(::geteuid()) + ", should it start tlsmuxd)";
}

bool is_there(const std::filesystem::path& path) { return ::access(path.c_str(), F_OK) == 0; }

Problem log_problem(const std::filesystem::path& path) {
  if (path.empty() || path.native().starts_with("/dev/") || path.native().starts_with("/proc/")) return std::nullopt;
  return is_there(path) ? write_problem(path, W_OK) : write_problem(path.parent_path(), W_OK | X_OK);
}

// tlsmuxd makes the last folder of the path, if it is missing.
Problem socket_problem(const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  return write_problem(is_there(folder) ? folder : folder.parent_path(), W_OK | X_OK);
}

}  // namespace

ConfigErrors find_start_problems(const Config& config) {
  const EngineSettings& engine = config.engine;
  Findings findings({});
  if (!may_start(engine)) {
    findings.add("/engine/user", "is " + in_quotes(engine.user) +
                                     ": only root and that user can start tlsmuxd with it, not uid " +
                                     std::to_string(::geteuid()) + ", which has checked this");
    return std::move(findings).take();
  }
  findings.add_problem("/engine/control_socket", socket_problem(engine.control_socket));
  findings.add_problem("/engine/log/file", log_problem(engine.log.file));
  return std::move(findings).take();
}

}  // namespace tlsmux::config
