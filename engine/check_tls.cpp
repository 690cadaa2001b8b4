#include "engine/check_tls.hpp"

#include <time.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "config/changers.hpp"
#include "config/json/json_pointer.hpp"
#include "engine/broker/file_access.hpp"
#include "engine/refresh/tls_files.hpp"
#include "engine/tls/expiry.hpp"
#include "engine/tls/mbedtls_client.hpp"
#include "engine/tls/tls_library.hpp"

namespace tlsmux::engine {
namespace {

using broker::FileKind;
using Opened = std::expected<shm::UniqueFd, shm::SystemError>;

Opened no_such_file() { return std::unexpected(shm::SystemError{.code = ENOENT, .message = "there is no such file"}); }

Opened open_entry(const std::string& directory, std::uint32_t entry) {
  const auto files = broker::trusted_files_in(directory, config::kDecideTrust);
  if (!files) return std::unexpected(files.error());
  return entry < files->size() ? broker::open_for_reading((*files)[entry]) : no_such_file();
}

// Who may use or change the file, config::check_files() says.
Opened open_file(const config::TlsSettings& tls, FileKind kind, std::uint32_t entry) {
  switch (kind) {
    case FileKind::ca_file: return broker::open_for_reading(tls.ca_file);
    case FileKind::crl_file: return broker::open_for_reading(tls.crl_file);
    case FileKind::certificate_file: return broker::open_for_reading(tls.certificate_file);
    case FileKind::key_file: return broker::open_for_reading(tls.key_file);
    case FileKind::passphrase_file: return broker::open_for_reading(tls.passphrase_file);
    case FileKind::ca_directory_entry: return open_entry(tls.ca_directory, entry);
    case FileKind::key_log_file:
    case FileKind::none: break;
  }
  return no_such_file();
}

void check_upstream(tls::TlsLibrary& library, config::TlsSettings settings, const std::string& pointer,
                    TlsFindings& findings) {
  settings.key_log_file.clear();
  const auto open = [&](FileKind kind, std::uint32_t entry) { return open_file(settings, kind, entry); };
  const auto material = read_tls_files(open, settings);
  if (!material) {
    findings.errors.push_back({.pointer = pointer, .message = material.error().message});
    return;
  }
  const auto client = tls::make_mbedtls_client(library, settings, *material);
  if (!client) findings.errors.push_back({.pointer = pointer, .message = client.error().words});
  for (const auto& expiring : tls::find_expiring(*material)) {
    auto warning = tls::expiry_warning(expiring, ::time(nullptr));
    if (warning.empty()) continue;
    findings.warnings.push_back(
        {.pointer = config::pointer_to(pointer, expiring.setting()), .message = std::move(warning)});
  }
}

}  // namespace

TlsFindings check_tls(const config::Config& config) {
  const auto library = tls::TlsLibrary::create();
  if (!library) return {.errors = {{.pointer = "", .message = library.error().words}}, .warnings = {}};
  TlsFindings findings;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const auto pointer = config::pointer_to(config::pointer_to("/upstreams", i), "tls");
    check_upstream(**library, config.upstreams[i].tls, pointer, findings);
  }
  return findings;
}

}  // namespace tlsmux::engine
