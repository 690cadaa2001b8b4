#include "config/text_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "config/changers.hpp"

namespace tlsmux::config {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { (void)std::fclose(file); }  // read only: nothing can be lost
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string cannot_read(int error) { return "cannot be read: " + std::generic_category().message(error); }

std::expected<std::string, std::string> text_of(const File& file, std::size_t bytes_max, std::string_view what) {
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

}  // namespace

std::expected<std::string, std::string> read_text_file(const std::string& path, std::size_t bytes_max,
                                                       std::string_view what) {
  const File file(std::fopen(path.c_str(), "re"));
  if (!file) return std::unexpected(cannot_read(errno));
  return text_of(file, bytes_max, what);
}

std::expected<std::string, std::string> read_trusted_text_file(const std::string& path, std::size_t bytes_max,
                                                               std::string_view what,
                                                               const std::string& what_changers_may) {
  // Without O_NONBLOCK, a FIFO in the file's place would hold up who reads it.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return std::unexpected(cannot_read(errno));
  const File file(::fdopen(descriptor, "r"));
  if (!file) {
    const int error = errno;
    ::close(descriptor);
    return std::unexpected(cannot_read(error));
  }
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return std::unexpected(cannot_read(errno));
  if (!S_ISREG(status.st_mode)) return std::unexpected("is no file; give the path of a " + std::string(what));
  if (auto problem = problem_of_changers(path, status, what_changers_may)) return std::unexpected(std::move(*problem));
  return text_of(file, bytes_max, what);
}

}  // namespace tlsmux::config
