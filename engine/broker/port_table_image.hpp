#pragma once

// The tables of a group's ports by themselves: a group's part with nothing else in it, for the engine after the one that
// wrote them.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "shm/system/system_error.hpp"

namespace tlsmux::engine::broker {

enum class PortTableContents : std::uint8_t {
  all,
  labels,  // which dynamic port each label had: what means something after the machine was started again
};

// No image is longer.
std::size_t port_table_image_bytes_max();

// Of a file that is a group's part of this name, or such an image, at present. Read and not mapped, as its owner could make
// it shorter meanwhile. Empty: nothing is to be told of any port. EPROTO: it is neither.
std::expected<std::string, shm::SystemError> make_port_table_image(int file, std::string_view group,
                                                                   PortTableContents contents);

}  // namespace tlsmux::engine::broker
