#include "bench/record/record_path.hpp"

namespace tlsmux::bench {

std::unique_ptr<RecordPath> make_ipsec_mb_records() { return nullptr; }

}  // namespace tlsmux::bench
