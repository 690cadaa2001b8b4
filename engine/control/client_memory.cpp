#include "engine/control/client_memory.hpp"

#include <fcntl.h>

#include <utility>

namespace tlsmux::engine::control {

std::expected<ClientMemory, shm::SystemError> create_client_memory(const shm::ClientGeometry& geometry) {
  auto memfd = shm::create_client_memory(geometry.total_bytes());
  if (!memfd) return std::unexpected(memfd.error());
  auto mapping = shm::Mapping::map(memfd->get(), geometry.total_bytes(), shm::Access::read_write);
  if (!mapping) return std::unexpected(mapping.error());
  return ClientMemory{
      .geometry = geometry, .memfd = std::move(*memfd), .mapping = std::make_shared<shm::Mapping>(std::move(*mapping))};
}

std::expected<void, shm::SystemError> close_to_client(ClientMemory& memory) {
  if (auto sealed = shm::seal_client_memory(memory.memfd.get()); !sealed) return sealed;
  // Until now the client could punch holes. Filled here, or refused: never to be found out by the data loop.
  if (::fallocate(memory.memfd.get(), 0, 0, static_cast<off_t>(memory.geometry.total_bytes())) != 0) {
    return std::unexpected(shm::last_error("allocating a client's memory again"));
  }
  memory.memfd.reset();
  return {};
}

}  // namespace tlsmux::engine::control
