#include "engine/streams/leased_stream.hpp"

#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine::streams {

void LeasedStream::take(std::span<const std::byte> bytes) {
  TMX_ASSERT(kept_.empty() && !finishing_);
  const auto rest = bytes.subspan(leases_->write(stream_, bytes));
  kept_.assign(rest.begin(), rest.end());
}

void LeasedStream::write_kept() {
  if (kept_.empty()) return;
  const auto written = leases_->write(stream_, kept_);
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(written));
  finish_if_all_is_written();
}

void LeasedStream::finish() {
  finishing_ = true;
  finish_if_all_is_written();
}

void LeasedStream::finish_if_all_is_written() {
  if (finishing_ && kept_.empty()) leases_->finish_writing(stream_);
}

void LeasedStream::host_finished() {
  host_finished_ = true;
  output_->add_closed();
}

void LeasedStream::regulate(std::size_t buffer_bytes) {
  const bool is_full = output_->bytes() >= buffer_bytes;
  const bool is_low = output_->bytes() <= buffer_bytes / 2;
  if (!is_held_ && is_full) {
    is_held_ = true;
    leases_->hold(stream_);
  } else if (is_held_ && is_low) {
    is_held_ = false;
    if (!TMX_HAS_BUG(forget_resume)) leases_->resume(stream_);
  }
}

}  // namespace tlsmux::engine::streams
