#include "config/check/check_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "config/changers.hpp"
#include "config/check/check_machine_ports.hpp"
#include "config/check/findings.hpp"
#include "config/identity.hpp"
#include "config/json/json_pointer.hpp"
#include "config/pem_words.hpp"
#include "config/private_file_words.hpp"
#include "config/text_file.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr mode_t kOthersMask = S_IRWXG | S_IRWXO;

// Who asks is told, since the answer may be another for root.
std::string cannot_use(const std::string& path, int error) {
  std::string message = in_quotes(path) + " cannot be read: " + std::generic_category().message(error);
  if (error == EACCES) {
    message += " (for uid " + std::to_string(geteuid()) + "; check as the user who starts tlsmuxd)";
  }
  return message;
}

// What it is to hold: "PEM text".
Problem readable_file_problem(const std::string& path, const std::string& content, struct stat& status) {
  if (stat(path.c_str(), &status) != 0) return cannot_use(path, errno);
  if (!S_ISREG(status.st_mode)) return in_quotes(path) + " is no file; give the path of a file that holds " + content;
  if (faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) return cannot_use(path, errno);
  if (status.st_size == 0) return in_quotes(path) + " is empty; it must hold " + content;
  return std::nullopt;
}

// Why others must not change it.
Problem changers_problem(const std::string& path, const struct stat& status, const std::string& what_they_may) {
  const auto problem = problem_of_changers(path, status, what_they_may);
  return problem ? Problem(in_quotes(path) + " " + *problem) : std::nullopt;
}

// Null: whoever may change it, may.
Problem pem_problem(const std::string& path, const PemContent& content, const char* what_changers_may) {
  struct stat status{};
  if (auto problem = readable_file_problem(path, "PEM text", status)) return problem;
  if (what_changers_may != nullptr) {
    if (auto problem = changers_problem(path, status, what_changers_may)) return problem;
  }
  const auto text = read_text_file(path, kPemFileBytesMax, "PEM file");
  if (!text) return in_quotes(path) + " " + text.error();
  if (text->contains(content.mark)) return std::nullopt;
  return in_quotes(path) + " " + std::string(content.missing);
}

Problem mode_problem(const std::string& path, mode_t mode, const std::string& what_others_may) {
  if ((mode & kOthersMask) == 0) return std::nullopt;
  return open_to_others(path, mode, what_others_may);
}

// As the broker judges it when it opens the file for the engine, which runs as `engine_uid`.
Problem secret_problem(const std::string& path, const std::string& content, const std::string& what_others_may,
                       uid_t engine_uid) {
  struct stat status{};
  if (auto problem = readable_file_problem(path, content, status)) return problem;
  if (auto problem = mode_problem(path, status.st_mode, what_others_may)) return problem;
  if (status.st_uid == 0 || status.st_uid == engine_uid) return std::nullopt;
  return owned_by_stranger(path, status.st_uid);
}

// Where a folder is for all, as /tmp is, nobody but its owner can take away what is another's.
Problem socket_changers_problem(const std::string& folder, struct stat status) {
  if ((status.st_mode & S_ISVTX) != 0) status.st_mode &= ~kOthersMask;
  return changers_problem(folder, status, kReplaceSocket);
}

// tlsmuxd makes the last folder of the path, and no other.
Problem socket_folder_problem(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  struct stat status{};
  if (stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    return socket_changers_problem(folder.native(), status);
  if (std::filesystem::exists(folder, error)) return in_quotes(folder.native()) + " is no folder";
  if (error || std::filesystem::exists(folder.parent_path(), error) || error) return std::nullopt;
  return "the folder " + in_quotes(folder.native()) + " does not exist, nor does the one that it would be in; make it";
}

// Of a file that is made if it is missing.
Problem folder_problem(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return std::nullopt;
  return "the folder " + in_quotes(folder.native()) + " does not exist; make it, or log elsewhere";
}

// As tlsmuxd judges it when it opens its log.
Problem log_problem(const std::string& path) {
  if (path.starts_with("/dev/") || path.starts_with("/proc/")) return std::nullopt;
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return folder_problem(path);
  if (S_ISREG(status.st_mode)) return std::nullopt;
  return in_quotes(path) + " is no file; give the path of a file, or leave it out to log to standard error";
}

// Whether the environment allows it is for tlsmuxd to see.
Problem key_log_problem(const std::string& path) {
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) return in_quotes(path) + " is no file; remove it, and it is made anew";
    return mode_problem(path, status.st_mode, "read the secrets of sessions");
  }
  if (errno != ENOENT) return cannot_use(path, errno);
  return folder_problem(path);
}

Problem ca_directory_problem(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  struct stat status{};
  if (!error && stat(path.c_str(), &status) != 0) error = std::error_code(errno, std::generic_category());
  if (error) return cannot_use(path, error.value());
  if (auto problem = changers_problem(path, status, kDecideTrust)) return problem;
  bool any = false;
  while (entries != std::filesystem::directory_iterator{}) {
    const std::string& file = entries->path().native();
    if (stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      if (auto problem = changers_problem(file, status, kDecideTrust)) return problem;
      any = true;
    }
    entries.increment(error);
    if (error) return cannot_use(path, error.value());
  }
  if (any) return std::nullopt;
  return in_quotes(path) + " holds no file; it must hold CA certificates as PEM files";
}

Problem state_directory_problem(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return changers_problem(path, status, kDecideState);
  return "there is no folder " + in_quotes(path) + "; make it, or give another one";
}

void check_engine(const EngineSettings& engine, Findings& findings) {
  if (!engine.user.empty()) {
    if (auto account = resolve_account(engine.user); !account) {
      findings.add("/engine/user", std::move(account.error()));
    }
  }
  findings.add_problem("/engine/control_socket", socket_folder_problem(engine.control_socket));
  if (!engine.state_directory.empty()) {
    findings.add_problem("/engine/state_directory", state_directory_problem(engine.state_directory));
  }
  if (!engine.log.file.empty()) findings.add_problem("/engine/log/file", log_problem(engine.log.file));
}

// Only root can have it be another. One that does not exist is reported elsewhere.
uid_t engine_uid(const EngineSettings& engine) {
  if (engine.user.empty() || ::geteuid() != 0) return ::geteuid();
  const auto account = resolve_account(engine.user);
  return account ? account->uid : ::geteuid();
}

void check_tls_files(const TlsSettings& tls, const std::string& pointer, uid_t engine_uid, Findings& findings) {
  const auto check = [&](std::string_view key, const std::string& path, auto problem_of) {
    if (!path.empty()) findings.add_problem(pointer_to(pointer, key), problem_of(path));
  };
  const auto holds = [](const PemContent& content, const char* what_changers_may) {
    return [&content, what_changers_may](const std::string& path) {
      return pem_problem(path, content, what_changers_may);
    };
  };
  check("ca_file", tls.ca_file, holds(kPemAuthorities, kDecideTrust));
  check("ca_directory", tls.ca_directory, ca_directory_problem);
  check("certificate_file", tls.certificate_file, holds(kPemCertificate, nullptr));
  check("key_file", tls.key_file,
        [&](const std::string& path) { return secret_problem(path, "PEM text", "use the private key", engine_uid); });
  check("passphrase_file", tls.passphrase_file, [&](const std::string& path) {
    return secret_problem(path, "the passphrase in its first line", "read the passphrase", engine_uid);
  });
  check("crl_file", tls.crl_file, holds(kPemRevocationLists, kDecideRevocation));
  check("key_log_file", tls.key_log_file, key_log_problem);
}

}  // namespace

ConfigErrors check_files(const Config& config, std::span<const ConfigError> earlier) {
  Findings findings(earlier);
  check_engine(config.engine, findings);
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const auto membership = resolve_membership(config.groups[i], pointer_to("/groups", i));
    if (membership) continue;
    for (const ConfigError& error : membership.error()) findings.add(error.pointer, error.message);
  }
  const auto engine = engine_uid(config.engine);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    check_tls_files(config.upstreams[i].tls, pointer_to(pointer_to("/upstreams", i), "tls"), engine, findings);
  }
  const bool any_ports = std::ranges::any_of(config.groups, [](const GroupSettings& group) {
    return !group.ports.static_ports.empty() || !group.ports.dynamic.empty();
  });
  if (any_ports) {
    if (const auto kernel = read_kernel_ports()) {
      check_machine_ports(config, *kernel, findings);
    } else {
      findings.add("/groups", "the groups' ports cannot be compared with the kernel's own: " + kernel.error());
    }
  }
  return std::move(findings).take();
}

ConfigErrors check_config_file(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return {};  // who reads it says why
  if (!S_ISREG(status.st_mode)) {
    return {{.pointer = "", .message = "is no file; give the path of a configuration file"}};
  }
  auto problem = problem_of_changers(path, status, kDecideAll);
  return problem ? ConfigErrors{{.pointer = "", .message = std::move(*problem)}} : ConfigErrors{};
}

}  // namespace tlsmux::config
