#include "client/cli/library.hpp"

#include <array>

#include "client/cli/table.hpp"

namespace tlsmux::client::cli {

Failure failure_of(const std::string& doing, Error error, const std::string& words) {
  return {exit_code_of_error(error.code), doing + ": " + (words.empty() ? error.text() : escaped(words))};
}

std::expected<Client, Failure> attach(const std::string& group, const std::string& control_socket) {
  std::array<char, 300> words{};
  tmx_attach_options wanted{};
  if (!group.empty()) wanted.group = group.c_str();
  if (!control_socket.empty()) wanted.control_socket = control_socket.c_str();
  wanted.channels = 1;
  wanted.error_text = words.data();
  wanted.error_text_bytes = words.size();
  auto client = Client::attach(wanted);
  if (!client) return std::unexpected(failure_of("attaching", client.error(), words.data()));
  return std::move(*client);
}

}  // namespace tlsmux::client::cli
