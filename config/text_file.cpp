#include "config/text_file.hpp"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace tlsmux::config {
namespace {

std::string cannot_read(int error) { return "cannot be read: " + std::generic_category().message(error); }

}  // namespace

std::expected<std::string, std::string> read_text_file(const std::string& path, std::size_t bytes_max,
                                                       std::string_view what) {
  const auto close = [](std::FILE* file) { (void)std::fclose(file); };  // read only: nothing can be lost
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (!file) return std::unexpected(cannot_read(errno));
  std::string text(bytes_max + 1, '\0');
  const std::size_t bytes = std::fread(text.data(), 1, text.size(), file.get());
  if (std::ferror(file.get()) != 0) return std::unexpected(cannot_read(errno));
  if (bytes > bytes_max) {
    return std::unexpected("is larger than " + std::to_string(bytes_max) + " bytes; is this a " + std::string(what) +
                           "?");
  }
  text.resize(bytes);
  return text;
}

}  // namespace tlsmux::config
