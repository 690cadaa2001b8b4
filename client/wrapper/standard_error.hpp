#pragma once

#include <string_view>

namespace tlsmux::wrapper {

// "libtlsmux_ssl: " and the words, as one line on standard error. Says nothing where the descriptor is a connection: a program that
// has closed its standard error may have been given the number again. Raises no SIGPIPE. Keeps errno.
void say_line(std::string_view words);

}  // namespace tlsmux::wrapper
