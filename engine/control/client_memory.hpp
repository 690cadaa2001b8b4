#pragma once

// A client's part from its making until it is served, in the order that leaves the client nothing but its own memory:
//
//   create   size sealed, mapped by the engine
//   (shm::format_client writes the header; the client maps it and says so)
//   close_to_client   sealed against new mappings, holes and further seals; holes made before are filled

#include <cstdint>
#include <expected>
#include <memory>

#include "shm/client_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

struct ClientMemory {
  shm::ClientGeometry geometry;
  shm::UniqueFd memfd;
  std::shared_ptr<shm::Mapping> mapping;  // the engine's, for all shards
};

std::expected<ClientMemory, shm::SystemError> create_client_memory(const shm::ClientGeometry& geometry);

// Afterwards the memfd has served its purpose and is closed.
std::expected<void, shm::SystemError> close_to_client(ClientMemory& memory);

}  // namespace tlsmux::engine::control
