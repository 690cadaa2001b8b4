#include "config/private_file_words.hpp"

#include "config/wording.hpp"

namespace tlsmux::config {

std::string octal(mode_t mode) {
  std::string digits = "0";
  for (const unsigned shift : {6U, 3U, 0U}) digits += static_cast<char>('0' + ((mode >> shift) & 7U));
  return digits;
}

std::string open_to_others(const std::string& path, mode_t mode, const std::string& what_others_may) {
  return in_quotes(path) + " has mode " + octal(mode) + ", so that others may " + what_others_may +
         "; type: chmod 600 " + path;
}

std::string owned_by_stranger(const std::string& path, uid_t owner) {
  return in_quotes(path) + " belongs to uid " + std::to_string(owner) +
         ", which is neither root nor the engine's user; type: chown root " + path;
}

}  // namespace tlsmux::config
