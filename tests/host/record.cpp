#include "tests/host/record.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace tlsmux::host {
namespace {

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
  out.append(digits.begin(), end);
}

void append_hex64(std::string& out, std::uint64_t number) {
  for (int shift = 60; shift >= 0; shift -= 4) out.push_back("0123456789abcdef"[number >> shift & 0xf]);
}

}  // namespace

std::uint64_t fnv1a64(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string hex(std::string_view bytes) {
  std::string digits;
  digits.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    digits.push_back("0123456789abcdef"[byte >> 4]);
    digits.push_back("0123456789abcdef"[byte & 0xf]);
  }
  return digits;
}

std::expected<Record, std::string> Record::open(const std::string& path) {
  Record record;
  if (path.empty()) return record;
  record.file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!record.file_) return std::unexpected("cannot open the record " + path + ": " + std::strerror(errno));
  record.lines_ = "started ";
  append_number(record.lines_, static_cast<std::uint64_t>(::getpid()));
  record.lines_.push_back('\n');
  if (const auto flushed = record.flush(); !flushed) return std::unexpected(flushed.error());
  return record;
}

void Record::append(std::uint64_t connection, std::uint64_t sequence, std::string_view key_hex, std::string_view body) {
  if (!file_) return;
  lines_.append("received ");
  append_number(lines_, connection);
  lines_.push_back(' ');
  append_number(lines_, sequence);
  lines_.push_back(' ');
  lines_.append(key_hex.empty() ? "-" : key_hex);
  lines_.push_back(' ');
  append_number(lines_, body.size());
  lines_.push_back(' ');
  append_hex64(lines_, fnv1a64(body));
  lines_.push_back('\n');
}

std::expected<void, std::string> Record::flush() {
  std::string_view rest = lines_;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected(std::string("cannot write the record: ") + std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  lines_.clear();
  return {};
}

}  // namespace tlsmux::host
