#include "tests/simulation/wire_log.hpp"

#include <algorithm>

#include "config/leases.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

WireLog::WireLog(Context& context, std::uint32_t upstream, std::uint64_t connection)
    : context_(context),
      upstream_(upstream),
      connection_(connection),
      is_leased_(config::leases_sessions(context.present(upstream))),
      in_order_(context.in_order(upstream)),
      framing_(context.present(upstream).framing),
      reader_(context.wire_reader()) {}

void WireLog::offered(std::span<const std::byte> pending) {
  const auto known = std::span(stream_).subspan(accepted_);
  if (pending.size() < known.size() || !std::ranges::equal(pending.first(known.size()), known)) {
    throw Violation("bytes that were given to the kernel have changed before it accepted them");
  }
  stream_.insert(stream_.end(), pending.begin() + static_cast<std::ptrdiff_t>(known.size()), pending.end());
  while (read_ < stream_.size()) {
    const auto record = reader_.first(std::span(stream_).subspan(read_));
    if (!record) throw Violation("what is no record was given to the kernel: " + record.error());
    if (!*record) throw Violation("half a record was given to the kernel");
    const auto& [kind, content, bytes] = **record;
    if (kind == RecordKind::data) {
      is_leased_ ? read_leased(read_, content) : read_record(read_, content);
    } else if (is_leased_ && kind == RecordKind::close_notify) {
      context_.leases.sealed_close(connection_);
    }
    read_ += bytes;
  }
}

void WireLog::read_leased(std::uint64_t record, std::span<const std::byte> content) {
  placed_.push_back({.request = 0, .part = context_.leases.sealed(connection_, content), .first_record = record});
}

void WireLog::read_record(std::uint64_t record, std::span<const std::byte> content) {
  while (!content.empty()) {
    if (frame_.empty()) frame_record_ = record;
    const auto header_bytes = framing_.header_bytes();  // nothing but a length
    std::size_t wanted = header_bytes;
    if (frame_.size() >= header_bytes) {
      const auto head = framing_.read_head(std::span(frame_).first(header_bytes));
      if (!head) throw Violation("a message was framed wrongly");
      wanted = header_bytes + head->body_bytes;
    }
    const auto count = std::min(wanted - frame_.size(), content.size());
    frame_.insert(frame_.end(), content.begin(), content.begin() + static_cast<std::ptrdiff_t>(count));
    content = content.subspan(count);
    if (wanted == header_bytes || frame_.size() < wanted) continue;
    read_message(std::span(frame_).subspan(header_bytes), frame_record_);
    frame_.clear();
  }
}

void WireLog::read_message(std::span<const std::byte> message, std::uint64_t first_record) {
  const auto number = number_in(message, context_.upstream(upstream_).correlation.offset);
  if (number && context_.ledger.knows(*number)) {
    placed_.push_back({.request = *number, .part = {}, .first_record = first_record});
    context_.ledger.offered(*number, {.connection = connection_, .in_order = in_order_, .at_ns = context_.now_ns});
  } else if (!context_.ledger.has_distrusted()) {
    throw Violation("a message on the wire is nobody's");
  }
}

void WireLog::accepted(std::size_t count) {
  accepted_ += count;
  for (; started_ < placed_.size() && placed_[started_].first_record < accepted_; ++started_) {
    const auto& placed = placed_[started_];
    is_leased_ ? context_.leases.started(placed.part) : context_.ledger.started(placed.request, connection_);
  }
}

}  // namespace tlsmux::simulation
