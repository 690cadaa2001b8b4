#pragma once

// Between these the thread cannot be cancelled (pthread_cancel). What the library waits in is a cancellation point of the
// C library's, whose unwinding would end the whole process at the first function that lets no exception through: the
// program's call must then not be one, whatever it waits in.

#include <pthread.h>

namespace tlsmux::client {

class NoCancellation {
 public:
  NoCancellation() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  NoCancellation(const NoCancellation&) = delete;
  NoCancellation& operator=(const NoCancellation&) = delete;
  ~NoCancellation() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace tlsmux::client
