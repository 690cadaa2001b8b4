#pragma once

// Bugs on purpose, by which tests show that they would find such ones. They are there only where TLSMUX_MUTANTS is defined,
// in sources that a test compiles once more for itself; the test chooses one of them while it runs.

#include <cstdint>

namespace tlsmux {

enum class DeliberateBug : std::uint8_t {
  none,
  // What the wire says of a request.
  judge_by_sealed,     // a lost session's requests are judged by what was sealed, not by what was accepted
  judge_early,         // or before the send under way has ended
  forgive_first_byte,  // or as if one byte did not count
  send_withdrawn,      // a request is sent although its caller has withdrawn it
  // Outcomes.
  answer_half,        // of an answer the first half is copied
  answer_twice,       // the same answer is given again
  forget_settlement,  // of some requests that are lost nobody is told
  orphan_twice,       // an orphan is given to two subscribers
  // What is taken must be given back, once.
  keep_key,         // a key stays taken when its request is over
  free_key_early,   // or is free as soon as that is given up
  lend_slot_twice,  // a slot that was lent for a notice is used for two
  exceed_queue,     // a queue takes more than its bound
  // Streams.
  give_back_owed,  // a leased session goes back to the pool whatever its stream has left on it
  keep_lease,      // or never
  forget_resume,   // a host that was held up by a slow reader stays so
  // TLS.
  miss_key_update,  // a host's new key is not taken up
  // Ports.
  release_at_once,  // a port that is released is free, whatever socket is there
  never_release,    // or stays its owner's
  release_foreign,  // somebody else may release it
};

}  // namespace tlsmux

#if defined(TLSMUX_MUTANTS)
namespace tlsmux {
extern DeliberateBug deliberate_bug;  // defined by the test
}
#define TMX_HAS_BUG(name) (::tlsmux::deliberate_bug == ::tlsmux::DeliberateBug::name)
#else
#define TMX_HAS_BUG(name) false
#endif
