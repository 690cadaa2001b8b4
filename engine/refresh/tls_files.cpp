#include "engine/refresh/tls_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "config/pem_words.hpp"
#include "engine/log/key_log_file.hpp"

namespace tlsmux::engine {
namespace {

using broker::FileKind;

std::expected<std::size_t, shm::SystemError> size_of(int fd, const std::string& name) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(shm::last_error(name));
  if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) > config::kPemFileBytesMax) {
    return std::unexpected(shm::SystemError{.code = EFBIG, .message = name + ": too large for a PEM file"});
  }
  return static_cast<std::size_t>(status.st_size);
}

// Fills `bytes` from the start of the file; the count is what there was.
template <typename Bytes>
std::expected<std::size_t, shm::SystemError> read_into(int fd, const std::string& name, Bytes& bytes) {
  std::size_t count = 0;
  while (count < bytes.size()) {
    const auto got = ::pread(fd, bytes.data() + count, bytes.size() - count, static_cast<off_t>(count));
    if (got < 0) return std::unexpected(shm::last_error(name));
    if (got == 0) break;
    count += static_cast<std::size_t>(got);
  }
  return count;
}

std::expected<std::string, shm::SystemError> read_text(int fd, const std::string& name) {
  const auto size = size_of(fd, name);
  if (!size) return std::unexpected(size.error());
  std::string text(*size, '\0');
  const auto count = read_into(fd, name, text);
  if (!count) return std::unexpected(count.error());
  text.resize(*count);
  return text;
}

std::expected<tls::PemFile, shm::SystemError> read_pem(const OpenTlsFile& open, FileKind kind,
                                                       const std::string& path) {
  const auto fd = open(kind, 0);
  if (!fd) return std::unexpected(fd.error());
  auto text = read_text(fd->get(), path);
  if (!text) return std::unexpected(text.error());
  return tls::PemFile{.name = path, .pem = std::move(*text)};
}

std::expected<void, shm::SystemError> read_directory(const OpenTlsFile& open, const std::string& path,
                                                     std::vector<tls::PemFile>& into) {
  for (std::uint32_t entry = 0;; ++entry) {
    const auto fd = open(FileKind::ca_directory_entry, entry);
    if (!fd && fd.error().code == ENOENT && entry > 0) return {};
    if (!fd) return std::unexpected(fd.error());
    const auto name = path + " (file " + std::to_string(entry + 1) + ")";
    auto text = read_text(fd->get(), name);
    if (!text) return std::unexpected(text.error());
    into.push_back({.name = name, .pem = std::move(*text), .from_directory = true});
  }
}

std::expected<tls::SecretBytes, shm::SystemError> read_secret(const OpenTlsFile& open, FileKind kind,
                                                              const std::string& path) {
  const auto fd = open(kind, 0);
  if (!fd) return std::unexpected(fd.error());
  const auto size = size_of(fd->get(), path);
  if (!size) return std::unexpected(size.error());
  tls::SecretBytes secret(*size);
  auto bytes = secret.bytes();
  const auto count = read_into(fd->get(), path, bytes);
  if (!count) return std::unexpected(count.error());
  return secret;
}

std::expected<void, shm::SystemError> read_secrets(const OpenTlsFile& open, const config::TlsSettings& settings,
                                                   tls::TlsMaterial& material) {
  if (!settings.key_file.empty()) {
    auto key = read_secret(open, FileKind::key_file, settings.key_file);
    if (!key) return std::unexpected(key.error());
    material.key_pem = {.name = settings.key_file, .pem = std::move(*key)};
  }
  if (!settings.passphrase_file.empty()) {
    auto passphrase = read_secret(open, FileKind::passphrase_file, settings.passphrase_file);
    if (!passphrase) return std::unexpected(passphrase.error());
    material.passphrase = {.name = settings.passphrase_file, .bytes = std::move(*passphrase)};
  }
  return {};
}

}  // namespace

std::expected<tls::TlsMaterial, shm::SystemError> read_tls_files(const OpenTlsFile& open,
                                                                 const config::TlsSettings& settings) {
  tls::TlsMaterial material;
  if (!settings.ca_file.empty()) {
    auto file = read_pem(open, FileKind::ca_file, settings.ca_file);
    if (!file) return std::unexpected(file.error());
    material.ca_pem.push_back(std::move(*file));
  }
  if (!settings.ca_directory.empty()) {
    const auto done = read_directory(open, settings.ca_directory, material.ca_pem);
    if (!done) return std::unexpected(done.error());
  }
  if (!settings.certificate_file.empty()) {
    auto file = read_pem(open, FileKind::certificate_file, settings.certificate_file);
    if (!file) return std::unexpected(file.error());
    material.certificate_pem = std::move(*file);
  }
  if (!settings.crl_file.empty()) {
    auto file = read_pem(open, FileKind::crl_file, settings.crl_file);
    if (!file) return std::unexpected(file.error());
    material.crl_pem = std::move(*file);
  }
  if (auto read = read_secrets(open, settings, material); !read) return std::unexpected(read.error());
  if (!settings.key_log_file.empty()) {
    auto file = open(FileKind::key_log_file, 0);
    if (!file) return std::unexpected(file.error());
    material.key_log = std::make_shared<KeyLogFile>(std::move(*file));
  }
  return material;
}

std::expected<tls::TlsMaterial, shm::SystemError> read_tls_files(broker::BrokerClient& broker,
                                                                 const config::TlsSettings& settings,
                                                                 broker::ConfigPlace upstream) {
  return read_tls_files([&](FileKind kind, std::uint32_t entry) { return broker.open_file(kind, upstream, entry); },
                        settings);
}

}  // namespace tlsmux::engine
