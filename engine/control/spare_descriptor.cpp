#include "engine/control/spare_descriptor.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>

namespace tlsmux::engine::control {

void SpareDescriptor::renew() {
  if (!fd_) fd_.reset(::eventfd(0, EFD_CLOEXEC));
}

bool SpareDescriptor::turn_away(int listener) {
  fd_.reset();
  shm::UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  const bool is_turned_away = socket.get() >= 0;
  socket.reset();
  renew();
  return is_turned_away;
}

}  // namespace tlsmux::engine::control
